"""Rows on their way to NumPy, by Python workers that read a dataset themselves, and through
Spark.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy, commit, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import RATINGS, fields_of
from emberline.errors import DataError
from emberline.spark import frames
from emberline.spark.scan import Scan

Publish = Callable[..., None]
Run = Callable[..., Any]

PARTS = [37, 0, 5, 40]  # rows of each part, in row groups of 10
RUN = "20250101T000000-00000000"
PAIRS = pa.schema([("item", pa.int32()), ("user", pa.int32()), ("batch", pa.int64())])


def numbered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a task, with the number of each."""
    for number, batch in enumerate(batches):
        yield pa.record_batch([*batch.columns, [number] * batch.num_rows], schema=PAIRS)


def rows_of(first: int, count: int) -> pa.Table:
    rows = [
        {"user": index, "item": 1000 - index, "value": 1.0, "timestamp": None}
        for index in range(first, first + count)
    ]
    return pa.Table.from_pylist(rows, schema=RATINGS)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    folder, first, parts = tmp_path / "ratings" / run_folder("0" * 64, RUN), 0, []
    for number, count in enumerate(PARTS):
        parts.append(
            write_part(
                [rows_of(first, count)], folder, f"part-{number:05d}", RATINGS, group_rows=10
            )
        )
        first += count
    made = ProducedBy("prepare-ratings", "0" * 64, RUN)
    commit(tmp_path, Manifest("ratings", "table", fields_of(RATINGS), first, parts, made))
    return manifests.load(tmp_path, "ratings")


@pytest.mark.parametrize("groups_of_a_task", [1, 2, 32])
def test_workers_read_every_row_once_in_the_columns_order(
    spark: SparkSession, dataset: Dataset, groups_of_a_task: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emberline.spark.scan._GROUPS", groups_of_a_task)
    scan = Scan.of(spark, dataset)
    found = scan.map(("item", "user"), numbered, PAIRS).toArrow()
    assert scan.count() == found.num_rows == 82
    assert sorted(zip(found["user"].to_pylist(), found["item"].to_pylist(), strict=True)) == [
        (i, 1000 - i) for i in range(82)
    ]


def test_rows_through_spark_are_the_same(spark: SparkSession, dataset: Dataset) -> None:
    direct, through = Scan.of(spark, dataset), Scan(frames.read(spark, dataset))
    assert direct.count() == through.count()
    both = [
        scan.map(("item", "user"), numbered, PAIRS).drop("batch").toArrow().sort_by("user")
        for scan in (direct, through)
    ]
    assert both[0] == both[1]


def test_a_damaged_part_is_named_with_what_to_do(publish: Publish, run: Run, root: Path) -> None:
    rng = np.random.default_rng(1)
    pairs = rng.permutation(200 * 100)[:5000]
    rows = [
        {"user": pair // 100, "item": pair % 100, "value": value}
        for pair, value in zip(pairs.tolist(), rng.random(5000), strict=True)
    ]
    publish(root, "split-ratings", "ratings", rows)
    (path,) = manifests.load(root, "ratings").paths
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=rf"{path.name} cannot be read \(.*\); rerun split-ratings with --force"
    ):
        run("[als]\nrank = 2\niterations = 1\n")
