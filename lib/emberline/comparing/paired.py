"""Metrics of two runs on the users, items and pictures that both have measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import measures, sums
from emberline.cf.blocks import rows_of
from emberline.cf.inference import Sample, adjusted, difference
from emberline.cf.measures import Draws, Key
from emberline.cf.metrics import metric_of
from emberline.cf.resampling import Resampled
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.datasets.measures import Compared, Measured, Report
from emberline.models import role_of
from emberline.numeric.arrays import Int32

_SEED = 1
_COLUMNS = ("report", "model", "metric")


@dataclass(frozen=True)
class Pair:
    """A metric of a report, of a model then and of one now, which is another where another makes
    the lists; `compared` is now less then on what both have measured, `units` how many these are.
    """

    report: str
    before: Measured
    now: Measured
    compared: Compared | None
    units: int = 0


class Measuring(Protocol):
    """A run, as far as it is compared: its reports, the tables that they are made from by side, and
    the outside ids of each side's indices.
    """

    @property
    def reports(self) -> Mapping[str, Report]: ...
    @property
    def measures(self) -> Mapping[str, Dataset]: ...
    def ids(self, side: str) -> pa.Array | None:
        """None where indices are the same in both runs."""


def pairs(
    before: Measuring,
    now: Measuring,
    reports: Sequence[str],
    replicates: int,
    wanted: Callable[[Pair], bool] = lambda pair: True,
) -> list[Pair]:
    """Those that are wanted, in the order of the reports. p-values are of the metrics that decide,
    those of models and not of baselines, and adjusted for all of these.
    """
    found = [pair for report in reports for pair in _named(before, now, report) if wanted(pair)]
    samples = [_samples(before, now, side, found, replicates) for side in ("user", "item")]
    compared = [_compared(pair, samples) for pair in found]
    deciding = [at for at, pair in enumerate(compared) if pair.compared and decides(pair)]
    ps = adjusted([of.p for at in deciding if (of := compared[at].compared)])
    raised = dict(zip(deciding, ps, strict=True))
    return [_adjusted(pair, raised.get(at)) for at, pair in enumerate(compared)]


def decides(pair: Pair) -> bool:
    """Whether it is by this that a model is called better."""
    metric = metric_of(pair.now.metric)
    return bool(metric and metric.is_main and role_of(pair.now.model) == "model")


def _adjusted(pair: Pair, p: float | None) -> Pair:
    found = pair.compared
    if found is None:
        return pair
    names = (found.model, found.other, found.metric)
    raised = Compared(
        *names, found.difference, found.interval, found.p, found.p if p is None else p
    )
    return Pair(pair.report, pair.before, pair.now, raised, pair.units)


def _named(before: Measuring, now: Measuring, report: str) -> Iterator[Pair]:
    """Each metric of a model in both; and of two different models that make the lists."""
    then = {(row.metric, row.model): row for row in before.reports[report].metrics}
    since = {(row.metric, row.model): row for row in now.reports[report].metrics}
    alone, others = (
        [row for place, row in rows_.items() if place not in beside and _is_model(row)]
        for rows_, beside in ((since, then), (then, since))
    )
    for place, row in since.items():
        if place in then:
            yield Pair(report, then[place], row, None)
            continue
        partners = [other for other in others if other.metric == row.metric]
        rivals = [other for other in alone if other.metric == row.metric]
        if _is_model(row) and len(partners) == len(rivals) == 1:
            yield Pair(report, partners[0], row, None)


def _is_model(row: Measured) -> bool:
    return role_of(row.model) == "model"


def _samples(
    before: Measuring, now: Measuring, side: str, wanted: Sequence[Pair], replicates: int
) -> tuple[dict[Key, Resampled], dict[Key, Resampled]]:
    """Of each key then and now its units that both have measured, drawn alike."""
    keys = [
        list(dict.fromkeys((pair.report, of.model, of.metric) for pair, of in rows_))
        for rows_ in (
            [(pair, pair.before) for pair in wanted],
            [(pair, pair.now) for pair in wanted],
        )
    ]
    if not all(run.measures[side].rows for run in (before, now)):
        return {}, {}
    renamed = _renamed(before, now, side)
    measured = (_of_reports(before, side, None), _of_reports(now, side, renamed))
    common = {
        report: np.intersect1d(measured[0].get(report, []), measured[1].get(report, []))
        for report in measured[0]
    }
    return (
        _drawn(before, side, keys[0], None, common, replicates),
        _drawn(now, side, keys[1], renamed, common, replicates),
    )


def _renamed(before: Measuring, now: Measuring, side: str) -> Int32 | None:
    """Of each index now the one then, by outside ids, -1 where there is none; None where they are
    the same.
    """
    then, since = before.ids(side), now.ids(side)
    if then is None or since is None:
        return None
    found: Int32 = pc.index_in(since, then.drop_null()).fill_null(-1).to_numpy().astype(np.int32)
    return found if then.null_count == 0 else _placed(found, then)


def _placed(found: Int32, then: pa.Array) -> Int32:
    """Places among the ids that there are, as indices."""
    indices = np.flatnonzero(then.is_valid().to_numpy(zero_copy_only=False)).astype(np.int32)
    return np.where(found >= 0, indices[found], -1).astype(np.int32)


def _of_reports(run: Measuring, side: str, renamed: Int32 | None) -> dict[str, Int32]:
    """By report, the units that are measured: ids then, ascending."""
    found: dict[str, list[pa.Array]] = {}
    for batch in rows.batches(run.measures[side], ["report", side]):
        for report in batch["report"].unique().to_pylist():
            own = batch.filter(pc.equal(batch["report"], report))
            found.setdefault(report, []).append(_then(own[side].to_numpy(), renamed))
    return {report: np.unique(np.concatenate(parts)) for report, parts in found.items()}


def _then(ids: Int32, renamed: Int32 | None) -> Int32:
    return ids if renamed is None else renamed[ids]


def _drawn(
    run: Measuring,
    side: str,
    keys: Sequence[Key],
    renamed: Int32 | None,
    common: dict[str, Int32],
    replicates: int,
) -> dict[Key, Resampled]:
    columns = [*_COLUMNS, side, "value", "weight"]
    batches = rows.batches(run.measures[side], columns)
    chosen = _common(batches, side, renamed, common)
    task = partial(measures.resample, draws=Draws(tuple(keys), replicates, _SEED))
    found = sums.decoded(rows_of(task(chosen)))
    return {keys[at]: Resampled.from_vectors(vector[None, :]) for at, vector in found.items()}


def _common(
    batches: Iterator[pa.RecordBatch], side: str, renamed: Int32 | None, common: dict[str, Int32]
) -> Iterator[pa.RecordBatch]:
    """The rows of units that are common to both runs, whose ids are those then."""
    for batch in batches:
        ids = _then(batch[side].to_numpy(), renamed)
        reports = batch["report"].to_numpy(zero_copy_only=False)
        chosen = np.zeros(len(ids), bool)
        for report, those in common.items():
            chosen |= (reports == report) & np.isin(ids, those) & (ids >= 0)
        own = batch.set_column(3, pa.field(side, pa.int32()), pa.array(ids, pa.int32()))
        yield own.filter(pa.array(chosen))


def _compared(
    pair: Pair, samples: Sequence[tuple[dict[Key, Resampled], dict[Key, Resampled]]]
) -> Pair:
    """The pair with its difference, where both have measures of the same units."""
    then, since = ((pair.report, row.model, row.metric) for row in (pair.before, pair.now))
    both = [
        (first[then], second[since])
        for first, second in samples
        if then in first and since in second
    ]
    if not both or not all(_same_units(*sides) for sides in both):
        return pair
    older, newer = (
        Sample.of(pair.now.metric, sides[0], sides[1] if len(sides) > 1 else None)
        for sides in zip(*both, strict=True)
    )
    found = difference(newer, older)
    interval = None if found.interval is None else list(found.interval)
    names = (pair.now.model, pair.before.model, pair.now.metric)
    compared = Compared(*names, found.value, interval, found.p, found.p)
    return Pair(pair.report, pair.before, pair.now, compared, newer.users.units)


def _same_units(one: Resampled, other: Resampled) -> bool:
    return bool(np.isclose(one.moments[0, :2], other.moments[0, :2]).all())
