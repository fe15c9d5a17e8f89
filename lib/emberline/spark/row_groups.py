"""Raw Parquet files on their way to Python workers, which read and count them: a row group is the smallest task."""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets import storage
from emberline.datasets.storage import RawFile
from emberline.records import parquet
from emberline.records.heads import Wanted
from emberline.records.parquet import Layout
from emberline.spark.frames import spark_schema
from emberline.spark.spread import spread

# Rows of a row group, the first of which is the file's `first_row`.
_TASKS = pa.schema(
    [
        ("uri", pa.string()),
        ("source_file", pa.string()),
        ("group", pa.int32()),
        ("rows", pa.int64()),
        ("first_row", pa.int64()),
    ]
)
_MOMENTS = ("timestamp",)
_FOOTERS_AT_ONCE = 16
_GROUP_COST = 100_000  # bytes that take as long to read as it takes to open a file and understand its footer


def texts(spark: SparkSession, files: list[RawFile], wanted: Wanted, lists: Collection[str], timestamp_format: str) -> DataFrame:
    """Columns source_file, raw, problem, and one of text per key of `wanted`, as `parquet.read` has them.

    A moment in the column `timestamp` is in `timestamp_format`. Raises DataError and SchemaError as `parquet.layout`.
    """
    names = parquet.names_of(wanted)
    layouts = layouts_of(files, partial(parquet.layout, wanted=names, lists=tuple(lists)))
    schema = pa.schema([(name, pa.string()) for name in ("source_file", "raw", "problem", *names)])
    reading = partial(_texts, names=names, lists=tuple(lists))
    found = tasks(spark, files, layouts).mapInArrow(reading, spark_schema(schema))
    return found.withColumns({name: _written(name, timestamp_format) for name in _MOMENTS if name in names})


def layouts_of(files: list[RawFile], layout: Callable[..., Layout]) -> list[Layout]:
    """What the footers of the files say."""

    def read(file: RawFile) -> Layout:
        with storage.open_arrow(file.path) as opened:
            return layout(opened, str(file.path))

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        return list(pool.map(read, files))


def tasks(spark: SparkSession, files: list[RawFile], layouts: list[Layout]) -> DataFrame:
    """The row groups, in partitions that cost about the same each."""
    rows, costs = [], []
    for file, layout in zip(files, layouts, strict=True):
        firsts = np.cumsum([0, *layout.group_rows]).tolist()
        for number, count in enumerate(layout.group_rows):
            rows.append([file.uri, file.relative, number, count, firsts[number]])
            costs.append(layout.group_bytes[number] + _GROUP_COST)
    if not rows:
        return spark.createDataFrame([], spark_schema(_TASKS))
    columns = zip(*rows, strict=True)
    return spread(spark, pa.table(list(columns), _TASKS), np.array(costs, np.float64))


def _texts(batches: Iterator[pa.RecordBatch], names: Mapping[str, str], lists: Collection[str]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for task in batch.to_pylist():
            with storage.open_arrow(storage.locate(task["uri"])) as file:
                for rows in parquet.read(file, task["uri"], names, {task["group"]: task["rows"]}, lists, _MOMENTS):
                    source_file = pa.repeat(pa.scalar(task["source_file"], pa.string()), rows.num_rows)
                    yield pa.record_batch([source_file, *rows.columns], ["source_file", *rows.schema.names])


def _written(column: str, timestamp_format: str) -> Column:
    """A moment in the format that texts of the column are in; other values as they are."""
    is_moment = F.startswith(column, F.lit(parquet.MOMENT))
    micros = F.when(is_moment, F.substring(column, 2, 20)).try_cast("long")
    if timestamp_format == "seconds":
        text = (micros.cast("decimal(20,0)") / 1_000_000).cast("string")
    elif timestamp_format == "milliseconds":
        text = F.floor(micros.cast("decimal(20,0)") / 1000).cast("string")
    else:
        text = F.date_format(F.timestamp_micros(micros), timestamp_format)
    return F.when(is_moment, text).otherwise(F.col(column))
