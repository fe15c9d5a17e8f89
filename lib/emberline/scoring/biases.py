"""Ratings explained by who rates and what is rated, alone: b_ui = mean + b_u + b_i, damped.

    b_i = sum_u (r_ui - mean)       / (ratings of i + damping)
    b_u = sum_i (r_ui - mean - b_i) / (ratings of u + damping)

as in LensKit's BiasModel and, with a damping for each side, Koren (2010, section 2.1): `damping` is
how many ratings at the mean are added to each item's and each user's own. Who, or what, has no
rating has a bias of 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.entries import read
from emberline.cf.scoring import PREDICTED
from emberline.datasets.rows import Task, through
from emberline.flow.rows import Flow, Rows, Shared, Source
from emberline.numeric.arrays import Array, Float64, Int32, Int64

_IDS_PER_BLOCK = 4096
_TOTALS = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.int32()),
        ("count", pa.int64()),
        ("value", pa.float64()),
        ("offset", pa.float64()),
    ]
)
_RATED = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("value", pa.float32())])


@dataclass(frozen=True)
class Totals:
    """Of each id, whose place is its index: how many ratings it has, their sum, and the sum of what
    their other side has been given: each (n,).
    """

    counts: Int64
    values: Float64
    offsets: Float64

    def means(self, ids: Int32, otherwise: float) -> Float64:
        """The mean rating of some ids (n,): of those without any, what is said."""
        counts = at(self.counts, ids)
        return np.where(counts > 0, at(self.values, ids) / np.maximum(counts, 1), otherwise)


def totals(ratings: Source, side: str, other: str, offsets: Shared) -> Totals:
    """Of the ids of a side; offsets: (m,) float64 by the index of the other side, 0 beyond them."""
    first = partial(_sum_by_id, offsets=offsets)
    scattered = ratings.map((side, other, "value"), first, _TOTALS)
    found = scattered.together(scattered.flow.parts).map(_merge, _TOTALS).table()
    ids = found["id"].to_numpy()
    counts, values, offset = (
        _placed(ids, found[name].to_numpy()) for name in ("count", "value", "offset")
    )
    return Totals(counts.astype(np.int64), values, offset)


def _placed(ids: Int32, numbers: Array) -> Float64:
    """Each number (n,) at the index of its id."""
    array = np.zeros(int(ids.max(initial=-1)) + 1)
    array[ids] = numbers
    return array


def _sum_by_id(batches: Iterator[pa.RecordBatch], offsets: Shared) -> Iterator[pa.RecordBatch]:
    for entries in read(batches):
        of_other = at(offsets.value, entries.columns)
        yield _summed(entries.rows, np.ones(len(of_other), np.int64), entries.values, of_other)


def _merge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found = list(batches)
    if found:
        rows = pa.Table.from_batches(found)
        names = ("id", "count", "value", "offset")
        yield _summed(*(rows[name].to_numpy() for name in names))


def _summed(ids: Int32, counts: Int64, values: Array, offsets: Float64) -> pa.RecordBatch:
    """_TOTALS, a row for each id."""
    distinct, places = np.unique(ids, return_inverse=True)
    sums = [np.bincount(places, numbers, len(distinct)) for numbers in (counts, values, offsets)]
    columns = [distinct // _IDS_PER_BLOCK, distinct, sums[0].astype(np.int64), *sums[1:]]
    return pa.record_batch(columns, schema=_TOTALS)


def at(values: Array, ids: Int32) -> Float64:
    """The values (n,) of some ids (m,), each at its index; 0 beyond them."""
    known = ids < len(values)
    found = np.zeros(len(ids))
    found[known] = values[ids[known]]
    return found


@dataclass(frozen=True)
class Biases:
    """The mean of all ratings, and what users and items deviate from it by, at their indices:
    (num_users,) and (num_items,). `of_users` and `of_items` are what they were made from.
    """

    mean: float
    users: Float64
    items: Float64
    of_users: Totals
    of_items: Totals

    @classmethod
    def of(cls, flow: Flow, ratings: Source, damping: float) -> "Biases":
        """Those of columns user, item and value."""
        by_item = totals(ratings, "item", "user", flow.share(np.zeros(0)))
        count = int(by_item.counts.sum())
        mean = float(by_item.values.sum() / count) if count else 0.0
        items = _damped(by_item.values - by_item.counts * mean, by_item.counts, damping)
        by_user = totals(ratings, "user", "item", flow.share(items))
        left = by_user.values - by_user.counts * mean - by_user.offsets
        return cls(mean, _damped(left, by_user.counts, damping), items, by_user, by_item)

    def expected(self, users: Int32, items: Int32) -> Float64:
        """What is expected of each pair: (n,)."""
        found: Float64 = self.mean + at(self.users, users) + at(self.items, items)
        return found


def _damped(sums: Float64, counts: Int64, damping: float) -> Float64:
    found: Float64 = np.where(counts > 0, sums / np.maximum(counts + damping, 1), 0)
    return found


@dataclass(frozen=True)
class Residuals:
    """What biases, shared with all tasks, leave of each rating: a source of columns user, item and
    value.
    """

    ratings: Source
    biases: Shared

    def count(self) -> int:
        return self.ratings.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        first = partial(_residuals, biases=self.biases, columns=tuple(columns))
        both = partial(through, tasks=(first, task))
        return self.ratings.map(_RATED.names, both, schema)


def _residuals(
    batches: Iterator[pa.RecordBatch], biases: Shared, columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        users, items, values = (column.to_numpy() for column in batch.columns)
        left = (values - biases.value.expected(users, items)).astype(np.float32)
        yield pa.record_batch([users, items, left], schema=_RATED).select(list(columns))


def predictions(batches: Iterator[pa.RecordBatch], biases: Shared) -> Iterator[pa.RecordBatch]:
    """Columns user, item and deviation to PREDICTED: what each pair comes to."""
    for batch in batches:
        users, items, deviations = (column.to_numpy() for column in batch.columns)
        predicted = biases.value.expected(users, items) + deviations
        yield pa.record_batch([users, items, predicted.astype(np.float32)], schema=PREDICTED)
