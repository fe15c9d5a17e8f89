"""Blocks of factors to a row per user or item, as others read them."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf.als.factor_rows import factors_of
from emberline.cf.als.factors import published
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import rated_blocks

_PUBLISHED_ROWS = 1 << 14


def schema_of(side: str) -> pa.Schema:
    """The columns of published factors of users or items."""
    return pa.schema([(side, pa.int32()), ("factors", pa.list_(pa.float32()))])


def publish(
    batches: Iterator[pa.RecordBatch], side: str, objective: Objective
) -> Iterator[pa.RecordBatch]:
    """ROWS to a row per id: its id, named like the side, and its factors as they are published."""
    for row in rated_blocks(batches):
        ids, factors = factors_of(row)
        for first in range(0, len(ids), _PUBLISHED_ROWS):
            part = published(factors[first : first + _PUBLISHED_ROWS], side, objective)
            ends = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
            lists = pa.ListArray.from_arrays(ends, pa.array(part.ravel()))
            chosen = pa.array(ids[first : first + _PUBLISHED_ROWS])
            yield pa.record_batch([chosen, lists], schema=schema_of(side))
