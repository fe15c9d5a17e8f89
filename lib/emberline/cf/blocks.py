"""Blocks of rows as they travel through Spark: ids and a matrix, dense or sparse, as the bytes of a
few arrays.

A block of m rows is the ids (m,) int32, ascending, and either a dense (m, d) float32 matrix or a
CSR matrix whose columns are dense indices of users or items. The product of two blocks is `left @
right.T`: users' factors with items' factors, or users' histories with items' neighbours.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.numeric.arrays import Bool, Float32, Int32, Int64

BLOCK_FIELDS = [
    ("ids", pa.binary()),
    ("indptr", pa.binary()),
    ("indices", pa.binary()),
    ("values", pa.binary()),
]


@dataclass(frozen=True)
class Block:
    """Rows `ids` of a matrix; dense where `indptr` is empty, in which case `values` has len(ids) *
    d elements.

    A sparse block of places only has no values.
    """

    ids: Int32
    indptr: Int64
    indices: Int32
    values: Float32

    @property
    def is_sparse(self) -> bool:
        return len(self.indptr) > 0

    def dense(self) -> Float32:
        """The rows of a dense block: (m, d) float32."""
        return self.values.reshape(len(self.ids), -1)

    def sparse(self, num_columns: int) -> sp.csr_array:
        """The rows of a sparse block: (m, num_columns) CSR."""
        return sp.csr_array(
            (self.values, self.indices, self.indptr), shape=(len(self.ids), num_columns)
        )

    def places(self) -> Int64:
        """The places of a sparse block's entries (n,), ascending: 2^32 times the row's id, plus
        the column.
        """
        return (np.repeat(self.ids.astype(np.int64), np.diff(self.indptr)) << 32) | self.indices

    def rows(self, start: int, stop: int) -> "Block":
        """The rows from `start` to before `stop`, as a view."""
        ids, width = self.ids[start:stop], len(self.values) // len(self.ids)
        if not self.is_sparse:
            return Block(ids, self.indptr, self.indices, self.values[start * width : stop * width])
        indptr = self.indptr[start : stop + 1]
        entries = slice(indptr[0], indptr[-1])
        return Block(ids, indptr - indptr[0], self.indices[entries], self.values[entries])

    def take(self, chosen: Bool) -> "Block":
        """The rows that are chosen (m,)."""
        if chosen.all():
            return self
        ids, empty = self.ids[chosen], np.empty(0, np.int32)
        if not self.is_sparse:
            return Block(ids, self.indptr, empty, self.dense()[chosen].ravel())
        degrees = np.diff(self.indptr)
        entries = np.repeat(chosen, degrees)
        indptr = np.concatenate([[0], np.cumsum(degrees[chosen], dtype=np.int64)])
        values = self.values[entries] if len(self.values) else self.values
        return Block(ids, indptr, self.indices[entries], values)

    def cut(self, block_size: int) -> Iterator[tuple[int, "Block"]]:
        """The blocks of `block_size` dense indices that its rows are in, by their numbers."""
        numbers = self.ids // block_size
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for start, stop in pairwise([*starts, len(self.ids)]):
            yield int(numbers[start]), self.rows(start, stop)

    def encode(self) -> dict[str, bytes]:
        """The values of BLOCK_FIELDS."""
        return {name: getattr(self, name).tobytes() for name, _ in BLOCK_FIELDS}


def decode(row: Mapping[str, Any], prefix: str = "") -> Block:
    """The block whose BLOCK_FIELDS, with `prefix` before their names, are in `row`, as bytes or
    buffers, which are not copied.
    """
    return Block(
        np.frombuffer(row[f"{prefix}ids"], np.int32),
        np.frombuffer(row[f"{prefix}indptr"], np.int64),
        np.frombuffer(row[f"{prefix}indices"], np.int32),
        np.frombuffer(row[f"{prefix}values"], np.float32),
    )


def dense_block(ids: Int32, rows: Float32) -> Block:
    """A block of the rows (m, d), put in the order of their ids (m,)."""
    order = np.argsort(ids, kind="stable")
    return Block(
        ids[order],
        np.empty(0, np.int64),
        np.empty(0, np.int32),
        np.ascontiguousarray(rows[order]).ravel(),
    )


def product(left: Block, right: Block) -> Float32:
    """`left @ right.T`, dense: (rows of left, rows of right) float32. Both blocks are dense, or
    both are sparse.
    """
    if not left.is_sparse:
        return left.dense() @ right.dense().T
    num_columns = 1 + max(left.indices.max(initial=0), right.indices.max(initial=0))
    result: Float32 = (left.sparse(num_columns) @ right.sparse(num_columns).T).toarray()
    return result


def matrix_of(lists: pa.ListArray, rows: int) -> Float32:
    """(rows, d) of a column of lists of one length d."""
    matrix: Float32 = lists.flatten().to_numpy().reshape(rows, -1)
    return matrix


def rows_of(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """The rows of batches, each of which holds thousands of entries; binary values are views of
    their buffers.
    """
    for batch in batches:
        for at in range(batch.num_rows):
            yield {
                name: _plain(column[at])
                for name, column in zip(batch.schema.names, batch.columns, strict=True)
            }


def _plain(value: pa.Scalar) -> Any:
    is_view = pa.types.is_binary(value.type) and value.is_valid
    return value.as_buffer() if is_view else value.as_py()


def portions(batches: Iterator[pa.RecordBatch], least: int) -> Iterator[pa.Table]:
    """The batches that are not empty, as many together as have at least so many rows."""
    portion: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        portion.append(batch)
        rows += batch.num_rows
        if rows >= least:
            yield pa.Table.from_batches(portion)
            portion, rows = [], 0
    if rows:
        yield pa.Table.from_batches(portion)
