"""What Spark's Python workers run for ridge regressions: several at once, each on what it sees
of a row.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import ridge
from emberline.cf.blocks import matrix_of
from emberline.cf.kernels import Landmarks
from emberline.numeric.arrays import Float32, Float64

MOMENTS = pa.schema(
    [
        ("model", pa.string()),
        ("split", pa.string()),
        ("count", pa.int64()),
        ("xx", pa.binary()),
        ("xy", pa.binary()),
        ("yy", pa.binary()),
    ]
)
PREDICTED = pa.schema(
    [("model", pa.string()), ("item", pa.int32()), ("factors", pa.list_(pa.float32()))]
)


@dataclass(frozen=True)
class Inputs:
    """What a regression sees of a row: a column of lists of one length, or, with landmarks, how
    like them that is.
    """

    column: str
    landmarks: Landmarks | None = None

    def of(self, rows: pa.RecordBatch) -> Float32:
        """(rows, d)."""
        plain = matrix_of(rows[self.column], rows.num_rows)
        return plain if self.landmarks is None else self.landmarks.features(plain)


def sum_moments(
    batches: Iterator[pa.RecordBatch], inputs: Mapping[str, Inputs]
) -> Iterator[pa.RecordBatch]:
    """Columns split, factors, weight and those of the inputs to a row of MOMENTS per batch,
    split and model.
    """
    for batch in batches:
        for split in batch["split"].unique():
            rows = batch.filter(pc.equal(batch["split"], split))
            factors, weights = matrix_of(rows["factors"], rows.num_rows), rows["weight"].to_numpy()
            for model, seen in inputs.items():
                moments = ridge.Moments.of(seen.of(rows), factors, weights)
                sums = {name: getattr(moments, name).tobytes() for name in ("xx", "xy", "yy")}
                row = {"model": model, "split": split.as_py(), "count": moments.count, **sums}
                yield pa.RecordBatch.from_pylist([row], schema=MOMENTS)


def apply_weights(
    batches: Iterator[pa.RecordBatch], inputs: Mapping[str, Inputs], weights: Mapping[str, Float64]
) -> Iterator[pa.RecordBatch]:
    """Columns item and those of the inputs to PREDICTED, by each model's weights, the last
    ones being the constant's.
    """
    for batch in batches:
        for model, seen in inputs.items():
            predicted = (ridge.with_one(seen.of(batch)) @ weights[model]).astype(np.float32)
            yield pa.record_batch(
                [[model] * batch.num_rows, batch["item"], list(predicted)], schema=PREDICTED
            )
