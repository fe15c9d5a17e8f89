"""Blocks of rows as they travel through Spark: ids and a matrix, dense or sparse, as the bytes of a few arrays.

A block of m rows is the ids (m,) int32, ascending, and either a dense (m, d) float32 matrix or a CSR matrix whose columns are
dense indices of users or items. The product of two blocks is `left @ right.T`: users' factors with items' factors, or users'
histories with items' neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

Int32 = npt.NDArray[np.int32]
Int64 = npt.NDArray[np.int64]
Float32 = npt.NDArray[np.float32]

BLOCK_FIELDS = [("ids", pa.binary()), ("indptr", pa.binary()), ("indices", pa.binary()), ("values", pa.binary())]


@dataclass(frozen=True)
class Block:
    """Rows `ids` of a matrix; dense where `indptr` is empty, in which case `values` has len(ids) * d elements."""

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
        return sp.csr_array((self.values, self.indices, self.indptr), shape=(len(self.ids), num_columns))

    def encode(self) -> dict[str, bytes]:
        """The values of BLOCK_FIELDS."""
        return {name: getattr(self, name).tobytes() for name, _ in BLOCK_FIELDS}


def decode(row: Mapping[str, Any], prefix: str = "") -> Block:
    """The block whose BLOCK_FIELDS, with `prefix` before their names, are in `row`."""
    return Block(
        np.frombuffer(row[f"{prefix}ids"], np.int32),
        np.frombuffer(row[f"{prefix}indptr"], np.int64),
        np.frombuffer(row[f"{prefix}indices"], np.int32),
        np.frombuffer(row[f"{prefix}values"], np.float32),
    )


def dense_block(ids: Int32, rows: Float32) -> Block:
    """A block of the rows (m, d), put in the order of their ids (m,)."""
    order = np.argsort(ids, kind="stable")
    return Block(ids[order], np.empty(0, np.int64), np.empty(0, np.int32), np.ascontiguousarray(rows[order]).ravel())


def sparse_block(rows: Int32, columns: Int32, values: Float32) -> Block:
    """A block of the entries (n,) of a matrix, in the order of row and column; entries of one place are not summed."""
    order = np.lexsort((columns, rows))
    ids, counts = np.unique(rows, return_counts=True)
    indptr = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts, dtype=np.int64)])
    return Block(ids.astype(np.int32), indptr, columns[order].astype(np.int32), values[order].astype(np.float32))


def product(left: Block, right: Block) -> Float32:
    """`left @ right.T`, dense: (rows of left, rows of right) float32. Both blocks are dense, or both are sparse."""
    if not left.is_sparse:
        return left.dense() @ right.dense().T
    num_columns = 1 + max(left.indices.max(initial=0), right.indices.max(initial=0))
    result: Float32 = (left.sparse(num_columns) @ right.sparse(num_columns).T).toarray()
    return result


def matrix_of(lists: pa.ListArray, rows: int) -> Float32:
    """(rows, d) of a column of lists of one length d."""
    matrix: Float32 = lists.flatten().to_numpy().reshape(rows, -1)
    return matrix
