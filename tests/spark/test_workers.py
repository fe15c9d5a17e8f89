"""What Spark's Python workers load."""

import io
import sys
from collections.abc import Iterator
from functools import partial

import pyarrow as pa
import pytest
from PIL import Image
from pyspark.sql import SparkSession

from emberline.cleaning.media import Decoder, decode_encoded
from emberline.images.decode import Shape, decode


def test_executors_that_decode_or_score_load_no_tensorflow_and_no_pydantic(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # another environment gets workers of its own, that have done nothing for earlier tests
    monkeypatch.setitem(spark.sparkContext.environment, "FRESH", "yes")

    def decode_and_look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        decoder = Decoder(partial(decode, shape=Shape(4, 4, 3, "crop", 100)), (4, 4, 3), "picture")
        for decoded in decode_encoded(batches, decoder):
            yield pa.RecordBatch.from_pydict(
                {"modules": list(sys.modules), "rows": [decoded.num_rows] * len(sys.modules)}
            )

    file = io.BytesIO()
    Image.new("RGB", (4, 4)).save(file, "png")
    row = ["f", 0, "i", None, None, None, 0.0, file.getvalue()]
    texts = "item_id string, label string, split string, group string, at double"
    encoded = spark.createDataFrame(
        [row], f"source_file string, position long, {texts}, content binary"
    )
    rows = encoded.mapInArrow(decode_and_look, "modules string, rows long").collect()
    loaded = {row["modules"] for row in rows}
    assert {"emberline.images.decode", "PIL.Image"} <= loaded
    assert not loaded & {
        "tensorflow",
        "keras",
        "pydantic",
        "emberline.sections.config",
        "emberline.runs",
        "emberline.spark",
    }
