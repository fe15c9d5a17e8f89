"""Entries of a sparse matrix in no order, as ratings come, and how they get into blocks and into
order.

Before Spark shuffles them, entries are put together by block into pieces, so that it moves a few
large rows instead of one per entry.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf.blocks import Block, portions
from emberline.numeric.arrays import Array, Bool, Float32, Int32, Int64

PIECES = pa.schema(
    [
        ("block", pa.int32()),
        ("kind", pa.string()),
        ("rows", pa.binary()),
        ("columns", pa.binary()),
        ("values", pa.binary()),
        ("idf", pa.binary()),
    ]
)
_PORTION = 1 << 21  # entries that are put into blocks at a time, or a few more
_GAPS = 4  # columns to an entry, from which on those there are get numbers without gaps first
_DTYPES: dict[str, Any] = {
    "rows": np.int32,
    "columns": np.int32,
    "values": np.float32,
    "idf": np.float32,
}


@dataclass(frozen=True)
class Arrays:
    """Arrays of one length; an empty one is a column that nobody needs."""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other."""
        return cls(*(_joined(parts, field.name) for field in fields(cls)))

    def take(self, chosen: Bool | Int64) -> Self:
        """Those at some places."""
        arrays = (getattr(self, field.name) for field in fields(self))
        return type(self)(*(array[chosen] if len(array) else array for array in arrays))


def _joined(parts: Sequence[Arrays], name: str) -> Array:
    return np.concatenate([getattr(part, name) for part in parts])


def _nothing() -> Float32:
    return np.empty(0, np.float32)


@dataclass(frozen=True)
class Entries(Arrays):
    """Places and values of a sparse matrix, each (n,); `idf` is a weight of each entry's
    column. Values and idf may be empty.
    """

    rows: Int32
    columns: Int32
    values: Float32 = field(default_factory=_nothing)
    idf: Float32 = field(default_factory=_nothing)

    @classmethod
    def decoded(cls, pieces: Iterable[Mapping[str, Any]]) -> Self:
        """All entries of some rows of PIECES, given as bytes or as buffers."""
        parts = [cls._of_piece(piece) for piece in pieces]
        return cls.joined(parts) if parts else cls(np.empty(0, np.int32), np.empty(0, np.int32))

    @classmethod
    def _of_piece(cls, piece: Mapping[str, Any]) -> Self:
        return cls(**{name: np.frombuffer(piece[name], kind) for name, kind in _DTYPES.items()})

    def pieces(self, blocks: Int32, kind: str = "") -> Iterator[pa.RecordBatch]:
        """Rows of PIECES, one for each block that any of the entries is in; blocks: (n,)."""
        few = blocks.max(initial=0) < 1 << 16
        # of 16 bits, NumPy sorts by radix
        order = np.argsort(blocks.astype(np.uint16) if few else blocks, kind="stable")
        ends = np.cumsum(np.bincount(blocks))
        ordered = self.take(order)
        for block, (first, end) in enumerate(zip(np.concatenate([[0], ends]), ends, strict=False)):
            if end > first:
                arrays = ((name, getattr(ordered, name)[first:end].tobytes()) for name in _DTYPES)
                yield pa.RecordBatch.from_pylist(
                    [{"block": block, "kind": kind, **dict(arrays)}], schema=PIECES
                )

    def matrix(self, num_rows: int) -> sp.csr_matrix:
        """The matrix, of so many rows, in the order of row and column, in linear time; without
        values it is of ones.

        Entries of one place are not summed. Memory grows with the entries, not with the largest
        column.
        """
        num_columns = int(self.columns.max(initial=-1)) + 1
        if num_columns > _GAPS * len(self.columns):
            names, numbers = np.unique(self.columns, return_inverse=True)
            matrix = replace(self, columns=numbers.astype(np.int32)).matrix(num_rows)
            return sp.csr_matrix(
                (matrix.data, names[matrix.indices], matrix.indptr), shape=(num_rows, num_columns)
            )
        values = self.values if len(self.values) else np.ones(len(self.rows), np.float32)
        places = sp.coo_matrix((values, (self.rows, self.columns)), shape=(num_rows, num_columns))
        places.has_canonical_format = True  # else SciPy sorts, to sum what is at one place
        return places.tocsc().tocsr()

    def block(self, first: int = 0, step: int = 1) -> Block:
        """As a sparse block, without empty rows; row ids are `first` plus multiples of `step`."""
        places = (self.rows - first) // step
        matrix = replace(self, rows=places).matrix(1 + int(places.max(initial=-1)))
        degrees = np.diff(matrix.indptr)
        rated = np.flatnonzero(degrees)
        indptr = np.concatenate([[0], np.cumsum(degrees[rated], dtype=np.int64)])
        values = matrix.data if len(self.values) else _nothing()
        return Block(
            (rated * step + first).astype(np.int32),
            indptr,
            matrix.indices.astype(np.int32, copy=False),
            values,
        )


def places_in(ids: Int32 | Int64, wanted: Int32 | Int64) -> Int64:
    """Where the wanted (m,) stand among ascending ids (n,); -1 where they do not."""
    if not len(ids):
        return np.full(len(wanted), -1)
    places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[places] == wanted, places, -1)


def read(batches: Iterator[pa.RecordBatch]) -> Iterator[Entries]:
    """Columns row, column and perhaps value, whatever their names, in large portions."""
    for table in portions(batches, _PORTION):
        arrays = (column.to_numpy() for column in table.columns)
        yield Entries(
            *(
                array.astype(kind, copy=False)
                for array, kind in zip(arrays, _DTYPES.values(), strict=False)
            )
        )


def scatter(
    batches: Iterator[pa.RecordBatch], num_blocks: int, by: str = "rows", kind: str = ""
) -> Iterator[pa.RecordBatch]:
    """Entries, as `read` takes them, to PIECES: an id belongs to block `id % num_blocks`, so
    that blocks are even.
    """
    for entries in read(batches):
        yield from entries.pieces(getattr(entries, by) % num_blocks, kind)
