"""Rows of blocks in files that executors write and read, as DataFrames."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from emberline.datasets import block_files
from emberline.datasets.block_files import FILE, BlockFiles
from emberline.datasets.storage import Location
from emberline.spark.frames import spark_schema


def store(
    rows: DataFrame,
    folder: Location,
    schema: pa.Schema,
    kept: Sequence[str],
    merge: Callable[[DataFrame], DataFrame] = lambda written: written,
) -> tuple[BlockFiles, pa.Table]:
    """Write every row to a file; where they are, and columns `block`, `kept` and FILE of all rows,
    in the order of blocks.

    These columns come to the driver as `merge` makes them, which keeps `block` and FILE.
    """
    names = list(dict.fromkeys(["block", *kept]))
    written = spark_schema(pa.schema([schema.field(name) for name in names])).add(
        FILE, T.StringType()
    )
    stored = rows.mapInArrow(partial(block_files.store, folder=folder, kept=names), written)
    table = merge(stored).toArrow().sort_by("block")
    return (
        BlockFiles(
            folder, dict(zip(table["block"].to_pylist(), table[FILE].to_pylist(), strict=True))
        ),
        table,
    )


def frame(spark: SparkSession, files: BlockFiles, num_blocks: int, schema: pa.Schema) -> DataFrame:
    """The rows, a block in each of so many partitions."""
    return spark.range(0, num_blocks, 1, num_blocks).mapInArrow(files.load, spark_schema(schema))


def store_here(rows: Iterator[pa.RecordBatch], folder: Location) -> BlockFiles:
    """Write rows on the driver."""
    written = block_files.store(rows, folder, ["block"])
    return BlockFiles(folder, {row["block"][0].as_py(): row[FILE][0].as_py() for row in written})


def rows_here(files: BlockFiles) -> list[pa.RecordBatch]:
    """All rows, on the driver."""
    return [row for row in map(files.row, sorted(files.names)) if row is not None]
