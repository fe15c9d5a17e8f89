"""Sketches of rows, made part by part: see sketch."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import xor

import numpy as np
import pyarrow as pa

from emberline.datasets import hashes
from emberline.datasets.sketch import BINS, Sketch
from emberline.numeric.arrays import UInt64

BINNED = pa.schema(
    [
        ("bin", pa.int32()),
        ("rows", pa.int64()),
        ("digest", pa.int64()),
        ("place", pa.int64()),
        ("mark", pa.int32()),
    ]
)


@dataclass(frozen=True)
class Hashed:
    """Of each row (n,) two hashes of its key, and one of the key and the values."""

    places: UInt64
    marks: UInt64
    rows: UInt64


def binned(
    batches: Iterator[pa.RecordBatch], keys: int, needed: int = 0
) -> Iterator[pa.RecordBatch]:
    """Columns, the first of which are the rows' key, to BINNED; rows count that have the column at
    the place `needed`.
    """
    for whole in batches:
        batch = whole.filter(whole.column(needed).is_valid())
        if not batch.num_rows:
            continue
        key = batch.columns[:keys]
        place, mark = (hashes.of_columns(purpose, *key) for purpose in ("place", "mark"))
        yield binned_of(Hashed(place, mark, hashes.of_columns("row", *batch.columns)))


def binned_of(hashed: Hashed) -> pa.RecordBatch:
    """Rows to BINNED."""
    places, bins = hashed.places.view(np.int64), hashes.remainder(hashed.places, BINS)
    # by bin, and in it the least place first
    order = np.lexsort((places, bins))
    present, firsts, counts = np.unique(bins[order], return_index=True, return_counts=True)
    digests = np.bitwise_xor.reduceat(hashed.rows.view(np.int64)[order], firsts)
    least = order[firsts]
    marks = hashes.remainder(hashed.marks[least], 1 << 16)
    found = [present.astype(np.int32), counts, digests, places[least], marks.astype(np.int32)]
    return pa.record_batch(found, schema=BINNED)


def sketch_of(found: pa.Table) -> Sketch:
    """Of all BINNED."""
    ordered = found.sort_by([("bin", "ascending"), ("place", "descending")])
    marks = dict(zip(ordered["bin"].to_pylist(), ordered["mark"].to_pylist(), strict=True))
    digest = reduce(xor, found["digest"].to_pylist(), 0)
    return Sketch.of(sum(found["rows"].to_pylist()), digest, marks)
