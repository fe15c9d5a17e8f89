"""The stage prepare-images: pictures of any well-known kind as uint8 pixels of one size, under the items' dense ids.

    read = kept + rejected

A picture that cannot be used is in `rejected_images` with its reason; none ends the stage.
"""

import re
from collections.abc import Iterator
from functools import partial, reduce
from typing import Any

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cf.metrics import Sums
from emberline.config import ImageColumnsConfig, ImagesConfig
from emberline.datasets import storage
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import RawFile
from emberline.errors import ConfigError, DataError, EmptyDatasetError
from emberline.images import containers, tasks
from emberline.images.containers import NotThisFormatError
from emberline.images.decode import Shape
from emberline.runner import StageRun
from emberline.spark import frames, ids
from emberline.spark.frames import spark_schema
from emberline.spark.raw import check_name, source_file

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
_CIFAR_BINARY = re.compile(r"(data_batch_\d+|test_batch)\.bin")
_CIFAR_PICKLE = re.compile(r"data_batch_\d+|test_batch")
_CIFAR_NAMES = ("batches.meta.txt", "batches.meta")
_IDX = re.compile(r"(?P<prefix>.+?)[-.]images[-.]idx3-ubyte(\.gz)?")
_IDX_LABELS = re.compile(r"(?P<prefix>.+?)[-.]labels[-.]idx1-ubyte(\.gz)?")


def run(run: StageRun, spark: SparkSession) -> None:
    """Read, decode, number and write the pictures; measure their channels."""
    config: ImagesConfig = run.settings
    decoded = frames.checkpoint(_decode(spark, run.raw_files(config.path), config), run, "decoded")
    judged = decoded.drop("pixels").transform(reject_repeated)
    kept = judged.where("reason is null").select("item_id", "source_file", "position")
    store = partial(frames.checkpoint, run=run, name="ids")
    known = ids.known(run, spark, "item")
    numbered = ids.extend(known, kept, "item_id", "item", store)
    pictures = decoded.join(kept, ["item_id", "source_file", "position"], "left_semi").join(numbered, "item_id")
    facts = {"height": config.height, "width": config.width, "channels": config.channels}
    written = frames.write(pictures, run, "images", **facts)
    rejected = frames.write(judged.where("reason is not null"), run, "rejected_images")
    ids.record_end(run, spark, "images", "item", known)
    _account(run, spark, decoded.count(), rejected)
    run.outputs["images"].info.update(channel_statistics(frames.read(spark, written), config.channels))


def reject_repeated(pictures: DataFrame) -> DataFrame:
    """Give all but the first picture of an item, in the order of file and position, the reason that it is another one."""
    place = Window.partitionBy("item_id", F.col("reason").isNull()).orderBy("source_file", "position")
    repeated = F.when(F.row_number().over(place) > 1, F.lit("another picture of the same item"))
    nameless = F.when(F.col("item_id").isNull(), F.lit("item_id is missing"))
    return pictures.withColumn("reason", F.coalesce("reason", nameless, repeated))


def channel_statistics(images: DataFrame, channels: int) -> dict[str, list[float]]:
    """`mean` and `std` of each channel over all pixels of all pictures, as shares of full brightness, 0..1."""
    task = partial(tasks.channel_sums, channels=channels)
    sums = Sums.empty(channels)
    for row in images.select("pixels").mapInArrow(task, spark_schema(tasks.CHANNEL_SUMS)).toLocalIterator():
        sums = sums.merge(Sums(row["pictures"], np.array(row["totals"]), np.array(row["squares"])))
    mean = sums.mean()
    variance = np.maximum(sums.squares / sums.count - mean**2, 0)
    return {"mean": mean.tolist(), "std": np.sqrt(variance).tolist()}


def _account(run: StageRun, spark: SparkSession, read: int, rejected: Dataset) -> None:
    """Raises DataError where a picture is missing or twice there, EmptyDatasetError where none is left."""
    by_reason = frames.read(spark, rejected).groupBy("reason").count().orderBy(F.desc("count"), "reason").collect()
    reasons = {row["reason"]: row["count"] for row in by_reason}
    kept = run.outputs["images"].rows
    accounts = {"read": read, "kept": kept, "rejected": rejected.rows}
    if read != kept + rejected.rows:
        raise DataError(f"the pictures do not add up: {accounts}; were the files changed while they were read? Run it again")
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(f"{run.settings.path}: of {read} pictures none can be used ({top})")
    run.outputs["images"].info.update(accounts=accounts, reasons=reasons)


# ---------------------------------------------------------------------------------------------------------------- reading


def _decode(spark: SparkSession, files: list[RawFile], config: ImagesConfig) -> DataFrame:
    for file in files:
        check_name(file)
    shape = Shape(config.height, config.width, config.channels, config.fit, config.max_pixels)
    kind = config.format if config.format != "auto" else _kind_of(files)
    if (kind == "parquet") != (config.columns is not None):
        raise ConfigError(f"images.columns goes with Parquet files, and Parquet files need it; these are {kind}")
    if kind in ("cifar10", "idx"):
        found = list(_cifar10(files) if kind == "cifar10" else _idx(files))
        if not found:
            raise DataError(f"{config.path} holds no file named as those of {kind} are; found {_names(files)}")
        names = config.label_names or _label_names(files)
        task = partial(tasks.explode_containers, shape=shape, names=names)
        return _container_frame(spark, found).mapInArrow(task, spark_schema(tasks.DECODED))
    encoded = _parquet_frame(spark, files, config.columns) if config.columns else _file_frame(spark, files, config.labels)
    return encoded.mapInArrow(partial(tasks.decode_files, shape=shape), spark_schema(tasks.DECODED))


def _kind_of(files: list[RawFile]) -> str:
    """Raises ConfigError where the files' names do not say what they are."""
    names = [file.path.name for file in files]
    if any(_CIFAR_BINARY.fullmatch(name) or _CIFAR_PICKLE.fullmatch(name) for name in names):
        return "cifar10"
    if any(_IDX.fullmatch(name) for name in names):
        return "idx"
    suffixes = {file.path.suffix.lower() for file in files}
    if suffixes <= {".parquet", ".pq"}:
        return "parquet"
    if suffixes & _PICTURES:
        return "files"
    raise ConfigError(f"cannot tell what {_names(files)} are; set images.format to files, parquet, cifar10 or idx")


def _names(files: list[RawFile]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(file.relative for file in files[:3]) + more


def _binary(spark: SparkSession, files: list[RawFile]) -> DataFrame:
    """Columns source_file and content: files whole, also the empty ones, which Spark passes over without a word."""
    empty = [(file.relative, b"") for file in files if file.size == 0]
    read = spark.read.format("binaryFile").load([storage.for_spark(file.path) for file in files])
    whole = read.select(source_file(files).alias("source_file"), "content")
    return whole.unionByName(spark.createDataFrame(empty, "source_file string, content binary")) if empty else whole


def _file_frame(spark: SparkSession, files: list[RawFile], labels: str) -> DataFrame:
    """Picture files as ENCODED; what is no picture by its content is found when it is decoded."""
    name = F.element_at(F.split("source_file", "/"), -1)
    stem = F.regexp_replace(name, r"(?<=.)\.[^.]*$", "")
    folder = F.get(F.split("source_file", "/"), F.size(F.split("source_file", "/")) - 2)
    columns: dict[str, Column] = {
        "source_file": F.col("source_file"),
        "position": F.lit(0).cast("long"),
        "item_id": F.col("source_file") if labels == "folder" else stem,
        "label": folder if labels == "folder" else F.lit(None).cast("string"),
        "split": F.lit(None).cast("string"),
        "content": F.col("content"),
    }
    return _binary(spark, files).select(*(column.alias(name) for name, column in columns.items()))


def _parquet_frame(spark: SparkSession, files: list[RawFile], columns: ImageColumnsConfig) -> DataFrame:
    """Encoded pictures in Parquet as ENCODED. Raises DataError for a column that is missing or of another type."""
    frame = spark.read.parquet(*[storage.for_spark(file.path) for file in files])
    types = dict(frame.dtypes)
    for name in filter(None, (columns.item_id, columns.image, columns.label)):
        if name not in types:
            raise DataError(
                f"{files[0].path}: column {name!r} is missing; the file has: {', '.join(types)}; correct images.columns"
            )
    if types[columns.image] != "binary":
        raise DataError(f"{files[0].path}: column {columns.image!r} is {types[columns.image]}, expected binary: encoded pictures")
    label = F.col(f"`{columns.label}`").cast("string") if columns.label else F.lit(None).cast("string")
    return frame.select(
        source_file(files).alias("source_file"),
        F.col("_metadata.row_index").alias("position"),
        F.nullif(F.trim(F.col(f"`{columns.item_id}`").cast("string")), F.lit("")).alias("item_id"),
        label.alias("label"),
        F.lit(None).cast("string").alias("split"),
        F.col(f"`{columns.image}`").alias("content"),
    )


def _cifar10(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    for file in files:
        name = file.path.name
        binary = _CIFAR_BINARY.fullmatch(name) is not None
        if binary or _CIFAR_PICKLE.fullmatch(name):
            kind, split = "cifar10-binary" if binary else "cifar10-pickle", "test" if name.startswith("test") else "train"
            yield {"file": file, "kind": kind, "prefix": file.relative.removesuffix(".bin"), "split": split, "labels": None}


def _idx(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    labels = {_beside(file, found["prefix"]): file for file in files if (found := _IDX_LABELS.fullmatch(file.path.name))}
    for file in files:
        if found := _IDX.fullmatch(file.path.name):
            prefix = _beside(file, found["prefix"])
            split = "test" if found["prefix"].startswith(("t10k", "test")) else "train"
            yield {"file": file, "kind": "idx", "prefix": prefix, "split": split, "labels": labels.get(prefix)}


def _beside(file: RawFile, prefix: str) -> str:
    """The prefix with the file's folder before it: collections in different folders may have files of the same names."""
    return file.relative.removesuffix(file.path.name) + prefix


def _container_frame(spark: SparkSession, found: list[dict[str, Any]]) -> DataFrame:
    """The collections' files as CONTAINERS, one task each."""
    frames_ = [_one_container(spark, container) for container in found]
    return reduce(DataFrame.unionByName, frames_)


def _one_container(spark: SparkSession, container: dict[str, Any]) -> DataFrame:
    facts = {name: F.lit(container[name]).cast("string") for name in ("kind", "prefix", "split")}
    frame = _binary(spark, [container["file"]]).withColumns(facts)
    if container["labels"] is None:
        return frame.withColumn("labels", F.lit(None).cast("binary"))
    return frame.crossJoin(_binary(spark, [container["labels"]]).select(F.col("content").alias("labels")))


def _label_names(files: list[RawFile]) -> tuple[str, ...]:
    """The names of CIFAR's classes where its file of names is there. Raises DataError for one that is damaged."""
    readers = dict(zip(_CIFAR_NAMES, (containers.read_label_names, containers.read_pickled_label_names), strict=True))
    for file in files:
        if file.path.name in readers:
            try:
                return tuple(readers[file.path.name](file.path.read_bytes()))
            except NotThisFormatError as error:
                raise DataError(f"{file.path} does not hold the classes' names: {error}") from None
    return ()
