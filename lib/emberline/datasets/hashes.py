"""Hashes of columns: draws that depend on a seed and outside ids alone, and so stay as they are
when rows arrive.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.numeric import xxhash
from emberline.numeric.arrays import Bool, Int64, UInt64

BUCKETS = 1_000_000  # shares are counted in


def of_columns(*columns: Any) -> UInt64:
    """64 bits of each row (n,) of columns of texts, integers, float32s and booleans, of which at
    least one is no constant (a text, or an int of 32 bits); what is missing does not count.

    As by Spark's `xxhash64`.
    """
    rows = next(len(column) for column in columns if isinstance(column, pa.Array))
    found = np.full(rows, xxhash.FIRST_SEED)
    for column in columns:
        if not isinstance(column, pa.Array):
            kind = pa.string() if isinstance(column, str) else pa.int32()
            column = pa.repeat(pa.scalar(column, kind), rows)
        found = chained(found, column)
    return found


def chained(before: UInt64, column: pa.Array) -> UInt64:
    """The hashes (n,) of columns and of one more, of the hashes of those before it."""
    hashed = _hashed(column, before)
    return np.where(column.is_valid(), hashed, before) if column.null_count else hashed


def bucket_of(seed: int, purpose: str, *columns: pa.Array) -> Int64:
    """One of BUCKETS, from 0, for each row (n,); draws for different purposes have nothing to do
    with each other.
    """
    return remainder(of_columns(seed, purpose, *columns), BUCKETS)


def is_drawn(share: float, seed: int, purpose: str, *columns: pa.Array) -> Bool:
    """Whether each row (n,) is of that share of all."""
    drawn: Bool = bucket_of(seed, purpose, *columns) < round(share * BUCKETS)
    return drawn


def remainder(hashes: UInt64, by: int | Int64) -> Int64:
    """Of the hashes (n,) as signed numbers, never below 0."""
    found: Int64 = np.mod(hashes.view(np.int64), by)
    return found


def _hashed(column: pa.Array, seeds: UInt64) -> UInt64:
    kind = column.type
    if pa.types.is_string(kind):
        ends = np.frombuffer(column.buffers()[1], np.int32)
        ends = ends[column.offset : column.offset + len(column) + 1]
        content = np.frombuffer(column.buffers()[2] or b"", np.uint8)
        return xxhash.of_texts(content, ends, seeds)
    filled = pc.fill_null(column, False if pa.types.is_boolean(kind) else 0)
    if pa.types.is_floating(kind):
        return xxhash.of_int32((filled.to_numpy() + np.float32(0)).view(np.int32), seeds)
    values = filled.to_numpy(zero_copy_only=False)
    if pa.types.is_int64(kind):
        return xxhash.of_int64(values, seeds)
    return xxhash.of_int32(values.astype(np.int32), seeds)
