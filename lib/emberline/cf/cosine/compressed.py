"""Parts of a sparse matrix, in CSR or CSC, as a few large rows of Arrow."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf.cosine.similarity import Nearest
from emberline.numeric.arrays import Float32, Float64, Int32, Int64

Batches = Iterator[pa.RecordBatch]
Kind = TypeVar("Kind")
RIGHT = "right_"


@dataclass(frozen=True)
class Compressed:
    """The part of a sparse matrix with some of its rows, in CSR, or some of its columns, in CSC;
    `ids` (m,) says which.

    `values` are to be divided by their row's or column's length, (m,) float64: in float32, ties
    would come apart.
    """

    ids: Int32
    lengths: Float64
    indptr: Int64
    indices: Int32
    values: Float32


def schema_of(kind: type) -> pa.Schema:
    return pa.schema(
        [("block", pa.int32()), *((field.name, pa.binary()) for field in fields(kind))]
    )


COMPRESSED = schema_of(Compressed)
_FLOATS = dict.fromkeys(("values", "similarities", "deviations"), np.float32)
_DTYPES = _FLOATS | {"indptr": np.int64, "lengths": np.float64}


def encoded(block: int, arrays: Compressed | Nearest) -> pa.RecordBatch:
    content = {field.name: getattr(arrays, field.name).tobytes() for field in fields(arrays)}
    return pa.RecordBatch.from_pylist([{"block": block, **content}], schema=schema_of(type(arrays)))


def decoded(kind: type[Kind], row: Mapping[str, Any], prefix: str = "") -> Kind:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(*(np.frombuffer(row[prefix + name], _DTYPES.get(name, np.int32)) for name in names))


def compressed(ids: Int64, lengths: Float64, matrix: sp.csr_matrix | sp.csc_matrix) -> Compressed:
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return Compressed(ids.astype(np.int32), lengths, indptr, indices, matrix.data)


def terms_of(rows: Compressed) -> int:
    return int(rows.indices.max(initial=-1)) + 1


def matrix_of(
    data: Float32 | Float64, part: Compressed, num_rows: int, num_columns: int
) -> sp.csr_matrix:
    """CSR of `part` with these data; rows after its last are empty."""
    indptr = np.pad(part.indptr, (0, num_rows + 1 - len(part.indptr)), "edge")
    return sp.csr_matrix((data, part.indices, indptr), shape=(num_rows, num_columns))


def unit_rows(rows: Compressed, columns: Compressed) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Both with lengths 1 and with as many terms: a term that only one of them has is empty in
    the other.
    """
    terms = max(terms_of(rows), len(columns.indptr) - 1)
    left, right = (
        rows.values / np.repeat(rows.lengths, np.diff(rows.indptr)),
        columns.values / columns.lengths[columns.indices],
    )
    return matrix_of(left, rows, len(rows.ids), terms), matrix_of(
        right, columns, terms, len(columns.ids)
    )
