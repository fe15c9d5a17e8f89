"""Metrics of some of the users, or of some of the items: by length of history, by what is known of
users, by popularity.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf import listing
from emberline.cf.inference import Sample
from emberline.cf.listing import COUNTS, Popular
from emberline.cf.measures import Groups, Key
from emberline.cf.metrics import metric_of
from emberline.datasets.rows import unchanged
from emberline.errors import ConfigError
from emberline.evaluation.found import Found
from emberline.evaluation.samples import Tables, measured
from emberline.flow.rows import Flow, Source
from emberline.numeric.arrays import Float64, Int32
from emberline.scoring.sources import distinct

Row = dict[str, Any]
_QUARTERS = 4
_DECILES = 10
_MOST = 12  # groups by a label, of which the last is of all others


@dataclass(frozen=True)
class Grouping:
    """What units are grouped by, the names of the groups, and which unit is in which."""

    by: str
    names: list[str]
    groups: Groups


def rows(
    flow: Flow, tables: Tables, report: str, founds: Sequence[Found], of_users: Sequence[Grouping]
) -> list[Row]:
    """The slices of a report: by what its users are grouped by, and by the popularity of items."""
    found: list[Row] = []
    for answer in founds:
        if answer.users is not None:
            keys = [key for key in answer.user_keys() if _is_sliced(key)]
            for grouping in of_users:
                found += _sliced(flow, tables, "user", keys, grouping, answer.over)
        if answer.popular is not None:
            keys = [key for key in answer.item_keys() if key[2].endswith("/pairs")]
            found += _sliced(flow, tables, "item", keys, by_popularity(answer.popular), "items")
    return found


def _is_sliced(key: Key) -> bool:
    metric = metric_of(key[2])
    return metric is not None and (metric.is_main or metric.name == "recall@*/n")


def _sliced(
    flow: Flow, tables: Tables, side: str, keys: Sequence[Key], by: Grouping, over: str
) -> Iterator[Row]:
    drawn = tables.drawn(flow, side, keys, by.groups) if by.names else {}
    for number, name in enumerate(by.names):
        for key in keys:
            if (key, number) in drawn:
                sample = Sample.of(key[2], drawn[key, number])
                yield {"by": by.by, "slice": name, **measured(key[1], key[2], sample, over)}


def by_history(ratings: Source, holdout: Source) -> Grouping:
    """Quarters of the users of the holdout by how many ratings each has in training, those of equal
    length together; who has none is in no group.
    """
    users = distinct(holdout, "user")
    table = ratings.map(("user",), listing.count_items, COUNTS).table()
    known, places = np.unique(table["item"].to_numpy(), return_inverse=True)
    counts = np.bincount(places, table["ratings"].to_numpy(), len(known))
    is_held = np.isin(known, users)
    return _quarters("length of history", known[is_held], counts[is_held].astype(float), "ratings")


def by_popularity(popular: Popular) -> Grouping:
    """Tenths of the items, the most rated first, with how often the items of each are rated."""
    counts = np.floor(popular.counts).astype(np.int64)
    numbers = np.arange(len(counts)) * _DECILES // max(len(counts), 1)
    there, numbers = np.unique(numbers, return_inverse=True)
    names = [
        f"tenth {tenth + 1}: {_span(counts[numbers == number])} ratings"
        for number, tenth in enumerate(there.tolist())
    ]
    order = np.argsort(popular.items)
    groups = Groups(popular.items[order], numbers[order].astype(np.int32), len(names))
    return Grouping("popularity of the item", names, groups)


def by_attribute(attributes: Source, name: str, numbers: Sequence[str]) -> Grouping:
    """The users by their label, the most frequent ones, or quarters of them by one of their
    numbers. Raises ConfigError for a name of neither.
    """
    if name != "label" and name not in numbers:
        there = ", ".join(repr(each) for each in ("label", *numbers))
        raise ConfigError(
            f"evaluate.slice_by: {name!r} is nothing that [[attributes.users]] says of users; what"
            f" is: {there}"
        )
    if name == "label":
        schema = pa.schema([("user", pa.int32()), ("label", pa.string())])
        table = attributes.map(("user", "label"), unchanged, schema).table().sort_by("user")
        return _labels(table["user"].to_numpy(), table["label"].to_pylist())
    schema = pa.schema([("user", pa.int32()), ("numbers", pa.list_(pa.float64()))])
    table = attributes.map(("user", "numbers"), unchanged, schema).table().sort_by("user")
    at = list(numbers).index(name)
    values = np.array([row[at] for row in table["numbers"].to_pylist()], np.float64)
    known = ~np.isnan(values)
    return _quarters(name, table["user"].to_numpy()[known], values[known], "")


def _labels(users: Int32, labels: Sequence[str | None]) -> Grouping:
    texts = np.array(["no label" if label is None else label for label in labels], object)
    every, places, counts = np.unique(texts, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.minimum(np.arange(len(order)), _MOST - 1)
    told = [str(text) for text in every[order][:_MOST]]
    if len(order) > _MOST:
        told[-1] = "others"
    return Grouping("label", told, Groups(users, numbers[places], len(told)))


def _quarters(by: str, ids: Int32, values: Float64, unit: str) -> Grouping:
    """ids (n,), ascending, by their values (n,)."""
    if not len(ids):
        return Grouping(by, [], Groups(ids, ids, 0))
    shares = np.arange(1, _QUARTERS) / _QUARTERS
    edges = np.unique(np.quantile(values, shares, method="inverted_cdf"))
    numbers = np.searchsorted(edges, values)
    there, numbers = np.unique(numbers, return_inverse=True)
    names = [f"{_span(values[numbers == number])} {unit}".rstrip() for number in range(len(there))]
    return Grouping(by, names, Groups(ids, numbers.astype(np.int32), len(names)))


def _span(values: Any) -> str:
    low, high = values.min(), values.max()
    return f"{low:,g}" if low == high else f"{low:,g} to {high:,g}"


def groupings(
    tables: Mapping[str, Source], slice_by: str | None, numbers: Sequence[str]
) -> list[Grouping]:
    """What users are grouped by; nothing where there are no ratings."""
    if "ratings" not in tables or "holdout" not in tables:
        return []
    found = [by_history(tables["ratings"], tables["holdout"])]
    if slice_by:
        found.append(by_attribute(tables["user_attributes"], slice_by, numbers))
    return found
