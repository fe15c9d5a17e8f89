"""Sums over the factors that a network learns to predict, by split."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import metrics
from emberline.cf.blocks import (
    matrix_of,
)

TARGETS = pa.schema(
    [
        ("split", pa.string()),
        ("count", pa.int64()),
        ("total", pa.list_(pa.float64())),
        ("squares", pa.list_(pa.float64())),
    ]
)


def sum_targets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns split and factors to a row of TARGETS per batch and split of rows that have any."""
    for batch in batches:
        batch = batch.filter(batch["factors"].is_valid())
        for split in batch["split"].unique():
            rows = batch.filter(pc.equal(batch["split"], split))
            sums = metrics.Sums.of(matrix_of(rows["factors"], rows.num_rows).astype(np.float64))
            row = {
                "split": split.as_py(),
                "count": sums.count,
                "total": sums.total,
                "squares": sums.squares,
            }
            yield pa.RecordBatch.from_pylist([row], schema=TARGETS)
