"""Metrics from the tables `user_measures` and `item_measures`: means, intervals, and which of two
models is better.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from emberline.cf import measures
from emberline.cf.inference import Difference, Sample, adjusted, difference
from emberline.cf.measures import Draws, Groups, Key
from emberline.cf.metrics import metric_of
from emberline.cf.resampling import Resampled
from emberline.cf.sums import SUMS
from emberline.datasets.rows import unchanged
from emberline.evaluation.found import Found
from emberline.flow.rows import Flow, Source
from emberline.flow.sums import summed
from emberline.models import role_of
from emberline.numeric.arrays import Float64

Row = dict[str, Any]
Samples = dict[Key, Sample]


@dataclass(frozen=True)
class Tables:
    """The tables of measures, whose metrics are drawn by `draws`."""

    users: Source
    items: Source
    replicates: int
    seed: int

    def samples(self, flow: Flow, user_keys: Sequence[Key], item_keys: Sequence[Key]) -> Samples:
        """Of each metric what its units say; of one of both users and items, what both do."""
        users = self.drawn(flow, "user", user_keys)
        items = self.drawn(flow, "item", item_keys)
        return {
            key: Sample.of(
                key[2], users.get(key) or items[key], items.get(key) if key in users else None
            )
            for key in users | items
        }

    def drawn(
        self, flow: Flow, side: str, keys: Sequence[Key], groups: Groups | None = None
    ) -> dict[Any, Resampled]:
        """By key or, with groups, by key and number of the group."""
        if not keys:
            return {}
        draws = Draws(tuple(keys), self.replicates, self.seed)
        shared = flow.share(groups) if groups else None
        task = partial(measures.resample, draws=draws, groups=shared)
        names = ("report", "model", "metric", side, "value", "weight")
        source = self.users if side == "user" else self.items
        found = summed(source.map(names, task, SUMS), unchanged)
        if shared is not None:
            shared.destroy()
        return dict(_by_key(found, keys, groups))


def _by_key(
    found: Mapping[int, Float64], keys: Sequence[Key], groups: Groups | None
) -> Iterator[tuple[Any, Resampled]]:
    for block, vector in found.items():
        number, group = divmod(block, groups.count if groups else 1)
        own = Resampled.from_vectors(vector[None, :])
        yield (keys[number], group) if groups else keys[number], own


def metric_rows(report: str, found: Found, samples: Samples) -> Iterator[Row]:
    """The rows of a report that one answer comes to: by model, those of no unit last."""
    for named in found.told:
        for model in named.models:
            for metric in named.metrics:
                sample = samples.get((report, model, metric))
                if sample is not None:
                    yield measured(model, metric, sample, found.over) | found.more.get(model, {})
            yield from (row for row in found.fixed if row["model"] == model)


def measured(model: str, metric: str, sample: Sample, over: str) -> Row:
    """A row of a report, JSON-ready: what is not known is None. `over` says of what it is a mean,
    and how many of these there are.
    """
    count = sample.users.moments[0, 1] if over == "ratings" else sample.users.units
    error, interval = sample.standard_error, sample.interval()
    return {
        "model": model,
        "metric": metric,
        "value": sample.value,
        "standard_error": None if np.isnan(error) else error,
        "interval": None if interval is None else list(interval),
        over: round(float(count)),
    }


def comparisons(report: str, samples: Samples) -> list[Row]:
    """Each model beside every other one and every baseline, by the metrics that decide: their
    difference, its interval, and p-values, those of all of them together made so large that they
    hold for the family.
    """
    found = [
        (one, other, difference(samples[one], samples[other]))
        for one, other in _pairs([key for key in samples if key[0] == report])
        if _same_units(samples[one], samples[other])
    ]
    raised = adjusted([result.p for _, _, result in found])
    return [
        compared(one, other, result, p)
        for (one, other, result), p in zip(found, raised, strict=True)
    ]


def compared(one: Key, other: Key, found: Difference, p: float) -> Row:
    """A row of a report's comparisons, JSON-ready."""
    return {
        "model": one[1],
        "other": other[1],
        "metric": one[2],
        "difference": found.value,
        "interval": None if found.interval is None else list(found.interval),
        "p": found.p,
        "adjusted": p,
    }


def _pairs(keys: Sequence[Key]) -> Iterator[tuple[Key, Key]]:
    """Of each metric that decides, a model and another one, or a baseline."""
    for one, other in combinations(keys, 2):
        metric = metric_of(one[2])
        if one[2] != other[2] or metric is None or not metric.is_main:
            continue
        roles = [role_of(key[1]) for key in (one, other)]
        if "bound" not in roles and "model" in roles:
            yield (one, other) if roles[0] == "model" else (other, one)


def _same_units(one: Sample, other: Sample) -> bool:
    return bool(np.isclose(one.users.moments[0, :2], other.users.moments[0, :2]).all())
