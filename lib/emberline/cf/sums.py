"""Numbers that are summed up part by part: vectors by the number of their block."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.numeric.arrays import Float64

SUMS = pa.schema([("block", pa.int32()), ("sums", pa.binary())])


def encoded(sums: Mapping[int, Float64]) -> pa.RecordBatch:
    """Vectors by block as rows of SUMS."""
    content = [vector.astype(np.float64).tobytes() for vector in sums.values()]
    return pa.record_batch([list(sums), content], schema=SUMS)


def decoded(rows: Iterable[Mapping[str, Any]]) -> dict[int, Float64]:
    """The sum of each block's vectors (n,), which are equally long."""
    found: dict[int, Float64] = {}
    for row in rows:
        vector = np.frombuffer(row["sums"], np.float64)
        block = int(row["block"])
        found[block] = found[block] + vector if block in found else vector
    return dict(sorted(found.items()))


def add_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """SUMS to SUMS, a row for each block that there is."""
    found = decoded(rows_of(batches))
    if found:
        yield encoded(found)
