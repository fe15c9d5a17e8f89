"""Sums of the products of factors with themselves."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import (
    matrix_of,
)
from emberline.numeric.arrays import Float32, Float64, Int64

GRAMIANS = pa.schema([("gramian", pa.binary())])


def sum_gramians(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Column factors to one row of GRAMIANS, where there is any."""
    total: Float64 | None = None
    for batch in batches:
        part = gramian(matrix_of(batch.column(0), batch.num_rows))
        total = part if total is None else total + part
    if total is not None:
        yield pa.RecordBatch.from_pylist([{"gramian": total.tobytes()}], schema=GRAMIANS)


_CHUNK = 1 << 14  # rows that are in float64 or uint64 at a time


def gramian(factors: Float32) -> Float64:
    """`Y.T @ Y`: (rank, rank) of factors (n, rank), products in float64."""
    total = np.zeros((factors.shape[1],) * 2)
    for first in range(0, len(factors), _CHUNK):
        exact = factors[first : first + _CHUNK].astype(np.float64)
        total += exact.T @ exact
    return total


@dataclass(frozen=True)
class Grams:
    """Sums over a side's rated rows: `each` of y y.T, (width, width), and `rated`, where a row
    counts as often as it is rated.

    `rows` and `ratings` are of how many.
    """

    each: Float64
    rated: Float64
    rows: int
    ratings: int

    @classmethod
    def empty(cls, width: int) -> Self:
        return cls(np.zeros((width, width)), np.zeros((width, width)), 0, 0)

    @classmethod
    def of(cls, factors: Float32, counts: Int64) -> Self:
        """Of factors (n, width) of rows with so many ratings (n,)."""
        weighted = factors * np.sqrt(counts, dtype=np.float32)[:, None]
        return cls(gramian(factors), gramian(weighted), len(factors), int(counts.sum()))

    @property
    def mean(self) -> Float64:
        """The mean y y.T over all ratings."""
        return self.rated / max(1, self.ratings)

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.each + other.each,
            self.rated + other.rated,
            self.rows + other.rows,
            self.ratings + other.ratings,
        )
