"""Ratings explained by who rates and what is rated, alone: b_ui = mean + b_u + b_i, damped.

    b_i = sum_u (r_ui - mean)       / (ratings of i + damping)
    b_u = sum_i (r_ui - mean - b_i) / (ratings of u + damping)

as in LensKit's BiasModel and, with a damping for each side, Koren (2010, section 2.1): `damping` is
how many ratings at the mean are added to each item's and each user's own. Who, or what, has no
rating has a bias of 0.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.entries import read
from emberline.cf.scoring import PREDICTED
from emberline.numeric.arrays import Array, Float64, Int32, Int64
from emberline.numeric.shared import Shared

_IDS_PER_BLOCK = 4096
TOTALS = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.int32()),
        ("count", pa.int64()),
        ("value", pa.float64()),
        ("offset", pa.float64()),
    ]
)
RATED = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("value", pa.float32())])
EXTENT = pa.schema([("least", pa.float32()), ("largest", pa.float32())])


@dataclass(frozen=True)
class Totals:
    """Of each id, whose place is its index: how many ratings it has, their sum, and the sum of what
    their other side has been given: each (n,).
    """

    counts: Int64
    values: Float64
    offsets: Float64

    @classmethod
    def of_table(cls, found: pa.Table) -> Self:
        """Of TOTALS, each id once."""
        ids = found["id"].to_numpy()
        counts, values, offsets = (
            _placed(ids, found[name].to_numpy()) for name in ("count", "value", "offset")
        )
        return cls(counts.astype(np.int64), values, offsets)

    def means(self, ids: Int32, otherwise: float) -> Float64:
        """The mean rating of some ids (n,): of those without any, what is said."""
        counts = at(self.counts, ids)
        return np.where(counts > 0, at(self.values, ids) / np.maximum(counts, 1), otherwise)


def _placed(ids: Int32, numbers: Array) -> Float64:
    """Each number (n,) at the index of its id."""
    array = np.zeros(int(ids.max(initial=-1)) + 1)
    array[ids] = numbers
    return array


def sum_by_id(batches: Iterator[pa.RecordBatch], offsets: Shared) -> Iterator[pa.RecordBatch]:
    for entries in read(batches):
        of_other = at(offsets.value, entries.columns)
        yield _summed(entries.rows, np.ones(len(of_other), np.int64), entries.values, of_other)


def merge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    found = list(batches)
    if found:
        rows = pa.Table.from_batches(found)
        names = ("id", "count", "value", "offset")
        yield _summed(*(rows[name].to_numpy() for name in names))


def _summed(ids: Int32, counts: Int64, values: Array, offsets: Float64) -> pa.RecordBatch:
    """TOTALS, a row for each id."""
    distinct, places = np.unique(ids, return_inverse=True)
    sums = [np.bincount(places, numbers, len(distinct)) for numbers in (counts, values, offsets)]
    columns = [distinct // _IDS_PER_BLOCK, distinct, sums[0].astype(np.int64), *sums[1:]]
    return pa.record_batch(columns, schema=TOTALS)


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
    def damped(cls, mean: float, of_users: Totals, of_items: Totals, damping: float) -> Self:
        """What the totals come to; those of users have the items' biases as offsets."""
        left = of_users.values - of_users.counts * mean - of_users.offsets
        users = damped(left, of_users.counts, damping)
        return cls(mean, users, items_damped(mean, of_items, damping), of_users, of_items)

    def expected(self, users: Int32, items: Int32) -> Float64:
        """What is expected of each pair: (n,)."""
        found: Float64 = self.mean + at(self.users, users) + at(self.items, items)
        return found


def damped(sums: Float64, counts: Int64, damping: float) -> Float64:
    found: Float64 = np.where(counts > 0, sums / np.maximum(counts + damping, 1), 0)
    return found


def items_damped(mean: float, totals: Totals, damping: float) -> Float64:
    """What items deviate from the mean by: (n,)."""
    return damped(totals.values - totals.counts * mean, totals.counts, damping)


def residuals(
    batches: Iterator[pa.RecordBatch], biases: Shared, columns: tuple[str, ...]
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        users, items, values = (column.to_numpy() for column in batch.columns)
        left = (values - biases.value.expected(users, items)).astype(np.float32)
        yield pa.record_batch([users, items, left], schema=RATED).select(list(columns))


def predictions(batches: Iterator[pa.RecordBatch], biases: Shared) -> Iterator[pa.RecordBatch]:
    """Columns user, item and deviation to PREDICTED: what each pair comes to."""
    for batch in batches:
        users, items, deviations = (column.to_numpy() for column in batch.columns)
        predicted = biases.value.expected(users, items) + deviations
        yield pa.record_batch([users, items, predicted.astype(np.float32)], schema=PREDICTED)


ANSWERS: dict[str, Callable[[Biases, Int32, Int32], Float64]] = {
    "expected": lambda biases, users, items: biases.expected(users, items),
    "item": lambda biases, users, items: biases.of_items.means(items, biases.mean),
    "user": lambda biases, users, items: biases.of_users.means(users, biases.mean),
    "all": lambda biases, users, items: np.full(len(users), biases.mean),
}


def answers(batches: Iterator[pa.RecordBatch], biases: Shared, by: str) -> Iterator[pa.RecordBatch]:
    """Columns user and item to PREDICTED, by one of ANSWERS: the biases, or the mean rating of the
    item, of the user or of all; that of all where a side has none.
    """
    for batch in batches:
        users, items = (column.to_numpy() for column in batch.columns)
        found = ANSWERS[by](biases.value, users, items).astype(np.float32)
        yield pa.record_batch([users, items, found], schema=PREDICTED)


def extent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A column value to EXTENT."""
    for batch in batches:
        if batch.num_rows:
            values = batch.column(0)
            yield pa.record_batch([[pc.min(values)], [pc.max(values)]], schema=EXTENT)
