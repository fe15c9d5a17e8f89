"""DataFrames at the border between Spark and datasets: read, checked against the schema,
written as hashed parts.
"""

import uuid
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from emberline.datasets import storage
from emberline.datasets.footers import check_footers
from emberline.datasets.info import Facts
from emberline.datasets.manifest import Dataset, Part
from emberline.datasets.parts import PARTITION, WRITTEN_PARTS, write_parts
from emberline.datasets.rows import Task, unchanged
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location
from emberline.errors import SchemaError
from emberline.runs.stage_run import StageRun

_SPARK_TYPES: dict[pa.DataType, T.DataType] = {
    pa.bool_(): T.BooleanType(),
    pa.int32(): T.IntegerType(),
    pa.int64(): T.LongType(),
    pa.float32(): T.FloatType(),
    pa.float64(): T.DoubleType(),
    pa.string(): T.StringType(),
    pa.binary(): T.BinaryType(),
    pa.timestamp("us", tz="UTC"): T.TimestampType(),
}


def spark_schema(schema: pa.Schema) -> T.StructType:
    """The same columns in Spark's types."""
    return T.StructType(
        [T.StructField(field.name, _spark_type(field.type), field.nullable) for field in schema]
    )


def _spark_type(kind: pa.DataType) -> T.DataType:
    if pa.types.is_list(kind):
        return T.ArrayType(_spark_type(kind.value_type))
    return _SPARK_TYPES[kind]


def conform(frame: DataFrame, schema: pa.Schema, name: str) -> DataFrame:
    """The schema's columns in its order. Raises SchemaError where one is missing or has another
    type.
    """
    found = {field.name: field.dataType for field in frame.schema}
    for field in spark_schema(schema):
        if field.name not in found:
            raise SchemaError(f"{name}: column {field.name} is missing (found: {', '.join(found)})")
        if found[field.name].simpleString() != field.dataType.simpleString():
            kind = found[field.name].simpleString()
            raise SchemaError(
                f"{name}: column {field.name} is {kind}, expected {field.dataType.simpleString()}"
            )
    return frame.select(schema.names)


def read(spark: SparkSession, dataset: Dataset) -> DataFrame:
    """A dataset's rows, of exactly the parts that its manifest names.

    Raises DataError for a part whose footer is not the one that was written; pages are checked as
    they are read. Factors that are not as long as its rank says fail the job that reads them, which
    SparkEngine.call makes a SchemaError.
    """
    check_footers(dataset)
    schema = TABLES[dataset.name]
    paths = [storage.for_spark(path) for path in dataset.paths]
    if not paths:
        return spark.createDataFrame([], spark_schema(schema))
    frame = spark.read.schema(spark_schema(schema)).parquet(*paths)
    rank = dataset.manifest.rank
    return conform(
        frame if rank is None else frame.withColumn("factors", _of_rank(rank, dataset.name)),
        schema,
        dataset.name,
    )


def _of_rank(rank: int, name: str) -> Column:
    length = F.size("factors")
    wrong = F.concat(
        F.lit(f"{name}: factors of length "), length, F.lit(f" where the manifest says rank {rank}")
    )
    return F.when(F.isnull("factors") | (length == rank), F.col("factors")).otherwise(
        F.raise_error(wrong)
    )


def write(
    frame: DataFrame,
    run: StageRun[Any],
    name: str,
    *facts: Facts,
    rank: int | None = None,
    seed: int | None = None,
) -> Dataset:
    """Write a frame as the output `name` of this run, with what is said of it: the executors write
    its parts, the driver sees one row per part.
    """
    folder, schema = run.outputs.folder(name), TABLES[name]
    parts = write_parts_of(conform(frame, schema, name), folder, schema)
    run.outputs.add(name, parts, *facts, rank=rank, seed=seed)
    return run.outputs.written(name)


def write_parts_of(
    frame: DataFrame,
    folder: Location,
    schema: pa.Schema,
    group_rows: int | None = None,
    through: Task = unchanged,
) -> list[Part]:
    """Have the executors write what `through` makes of each partition of a frame as a part of a
    dataset, in the schema's columns; the parts, in the order of partitions.
    """
    task = partial(
        write_parts, folder=str(folder), schema=schema, group_rows=group_rows, through=through
    )
    numbered = frame.select(F.spark_partition_id().alias(PARTITION), "*")
    written = numbered.mapInArrow(task, spark_schema(WRITTEN_PARTS)).collect()
    parts = [_part(row.asDict()) for row in sorted(written, key=lambda row: row[PARTITION])]
    _remove_others(folder, parts)
    return parts


def _remove_others(folder: Location, parts: list[Part]) -> None:
    """What tasks that were repeated have left: a reader may take a part that the manifest does
    not list for a forgery.
    """
    for path in storage.children(folder):
        if f"{folder.name}/{path.name}" not in {part.path for part in parts}:
            path.unlink()


def checkpoint(frame: DataFrame, run: StageRun[Any], name: str) -> DataFrame:
    """The same rows, written to the run's scratch folder and read back from there.

    Computed once, on disk, and with a short plan from here on: in every job that uses a cached
    frame Spark analyses and optimises again all that led to it, which costs more than the work
    itself where a dozen steps follow each other.
    """
    path = run.outputs.scratch / f"{name}-{uuid.uuid4().hex}"
    frame.write.parquet(storage.spark_uri(path))
    return frame.sparkSession.read.schema(frame.schema).parquet(storage.for_spark(path))


def _part(row: dict[str, Any]) -> Part:
    return Part(**{key: value for key, value in row.items() if key != PARTITION})
