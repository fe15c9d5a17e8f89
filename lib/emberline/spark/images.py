"""The stage prepare-images: pictures of any well-known kind as uint8 pixels of one size, under the
items' dense ids.

    read = kept + rejected

A picture that cannot be used is in `rejected_images` with its reason; none ends the stage.
"""

import logging
import math
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Row, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cleaning import texts
from emberline.datasets import parked, raw_files, rows
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task
from emberline.errors import ConfigError, DataError, EmptyDatasetError
from emberline.images import containers, tasks
from emberline.images.containers import NotThisFormatError
from emberline.images.decode import Shape
from emberline.logs import event
from emberline.records import parquet_pictures
from emberline.runs.stage_run import StageRun
from emberline.sections.images import ImageColumnsConfig, ImagesConfig
from emberline.spark import frames, ids, row_groups
from emberline.spark.frames import spark_schema
from emberline.spark.spread import WAVES, spread

log = logging.getLogger(__name__)

_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
_CIFAR_BINARY = re.compile(r"(data_batch_\d+|test_batch)\.bin")
_CIFAR_PICKLE = re.compile(r"data_batch_\d+|test_batch")
_CIFAR_NAMES = ("batches.meta.txt", "batches.meta")
_IDX = re.compile(r"(?P<prefix>.+?)[-.]images[-.]idx3-ubyte(\.gz)?")
_IDX_LABELS = re.compile(r"(?P<prefix>.+?)[-.]labels[-.]idx1-ubyte(\.gz)?")

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# how datasets of Hugging Face number the files of a split
_NUMBERED = re.compile(r"([a-z]+)-\d+-of-\d+")
_OTHER_LABELS = {"parquet": "set images.columns.label"}

_PARKED = pa.schema(
    [field for field in tasks.DECODED if field.name != "pixels"] + list(parked.PLACE)
)
_PLACE = ("source_file", "position")  # in whose order the pixels are parked
_FILE_COST = 20_000  # bytes that take as long to decode as it takes to open a file and begin
_SMALL_PICTURES = 256 << 10  # bytes of encoded pictures in Parquet that are not worth another task
_SMALL_PIECE = 4 << 20  # bytes of a collection's file that are not worth cutting
_SMALL_PART, _LARGE_PART = 8 << 20, 256 << 20  # bytes of pixels


def run(run: StageRun[ImagesConfig], spark: SparkSession) -> None:
    """Decode the pictures and park their pixels; judge, number and count them by what is known
    of them; write them.
    """
    config = run.settings
    encoded, decode = _source(spark, run.inputs.files(config.path), config)
    park = partial(
        parked.park, task=decode, column="pixels", folder=str(run.outputs.scratch / "pixels")
    )
    decoded = encoded.mapInArrow(park, spark_schema(_PARKED))
    judged = frames.checkpoint(decoded.transform(reject_repeated), run, "judged")
    counts = _counts(judged, config.channels)
    kept = judged.where("reason is null")
    known = ids.known(run, spark, "item")
    numbered = ids.extend(
        known, kept, "item_id", "item", partial(frames.checkpoint, run=run, name="ids")
    )
    facts = {"height": config.height, "width": config.width, "channels": config.channels}
    parts = _parts(spark, sum(row["count"] for row in counts), config)
    pictures = (
        kept.join(numbered, "item_id")
        .repartitionByRange(parts, *_PLACE)
        .sortWithinPartitions(*_PLACE)
    )
    frames.write(pictures, run, "images", through=partial(parked.fetch, column="pixels"), **facts)
    frames.write(
        judged.where("reason is not null").drop(*parked.PLACE.names), run, "rejected_images"
    )
    ids.record_end(run, spark, "images", "item", known)
    _account(run, counts)
    _tell_splits(run, kept)
    run.outputs.finish("images", **channel_statistics(counts, config))


def reject_repeated(pictures: DataFrame) -> DataFrame:
    """Give all but the first picture of an item, in the order of file and position, the reason
    that it is another one.
    """
    place = Window.partitionBy("item_id", F.col("reason").isNull()).orderBy(
        "source_file", "position"
    )
    repeated = F.when(F.row_number().over(place) > 1, F.lit("another picture of the same item"))
    nameless = F.when(F.col("item_id").isNull(), F.lit("item_id is missing"))
    return pictures.withColumn("reason", F.coalesce("reason", nameless, repeated))


def _tell_splits(run: StageRun[ImagesConfig], kept: DataFrame) -> None:
    """Say which pictures are for training, validation and test, where the publisher does."""
    splits = {
        row["split"]: row["count"]
        for row in kept.where("split is not null").groupBy("split").count().collect()
    }
    if splits:
        counts = ", ".join(
            f"{splits[split]:,} {split}" for split in ("train", "val", "test") if split in splits
        )
        run.control.progress(
            f"the pictures come split, as their folders or files are called: {counts}"
            " (images.split)"
        )
        log.info(event("pictures_split", path=run.settings.path, **splits))
    run.outputs.finish("images", splits=splits)


def _parts(spark: SparkSession, pictures: int, config: ImagesConfig) -> int:
    """How many parts the pictures are written in: one per core where there is enough to write,
    and none too large.
    """
    size = pictures * config.height * config.width * config.channels
    return max(
        min(spark.sparkContext.defaultParallelism, -(-size // _SMALL_PART)),
        -(-size // _LARGE_PART),
        1,
    )


def _counts(judged: DataFrame, channels: int) -> list[Row]:
    """Per reason, null for what is kept: `count`, and of each channel the sums over all pixels,
    exactly; frequent ones first.
    """
    sums = [
        F.sum(F.col(name)[channel].cast("decimal(20,0)"))
        for name in ("totals", "squares")
        for channel in range(channels)
    ]
    by_reason = judged.groupBy("reason").agg(
        F.count("*").alias("count"), F.array(*sums).alias("sums")
    )
    return sorted(by_reason.collect(), key=lambda row: (-row["count"], row["reason"] or ""))


def channel_statistics(counts: list[Row], config: ImagesConfig) -> dict[str, list[float]]:
    """`mean` and `std` of each channel over all pixels of all pictures, as shares of full
    brightness, 0..1.
    """
    (kept,) = [row for row in counts if row["reason"] is None]
    pixels = kept["count"] * config.height * config.width
    levels, squares = (
        np.array(part, np.float64) / pixels for part in np.array_split(kept["sums"], 2)
    )
    return {
        "mean": (levels / 255).tolist(),
        "std": (np.sqrt(np.maximum(squares - levels**2, 0)) / 255).tolist(),
    }


def _account(run: StageRun[ImagesConfig], counts: list[Row]) -> None:
    """Raises DataError where a picture is missing or twice there, EmptyDatasetError where none
    is left.
    """
    reasons = {row["reason"]: row["count"] for row in counts if row["reason"] is not None}
    read, kept, rejected = (
        sum(row["count"] for row in counts),
        run.outputs.rows("images"),
        run.outputs.rows("rejected_images"),
    )
    accounts = {"read": read, "kept": kept, "rejected": rejected}
    if read != kept + rejected:
        raise DataError(
            f"the pictures do not add up: {accounts}; were the files changed while they were read?"
            " Run it again"
        )
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(f"{run.settings.path}: of {read} pictures none can be used ({top})")
    run.outputs.finish("images", accounts=accounts, reasons=reasons)


# --------------------------------------------------------------------------------------------------
# reading


def _source(
    spark: SparkSession, files: list[RawFile], config: ImagesConfig
) -> tuple[DataFrame, Task]:
    """The files, cut into tasks, and what makes DECODED of them."""
    shape = Shape(config.height, config.width, config.channels, config.fit, config.max_pixels)
    kind = config.format if config.format != "auto" else _kind_of(files)
    if (kind == "parquet") != (config.columns is not None):
        raise ConfigError(
            f"images.columns goes with Parquet files, and Parquet files need it; these are {kind}"
        )
    _check_labels(config, kind)
    if config.columns is not None:
        pieces, read = _parquet(spark, files, config, config.columns, splits_of(files, config))
        return pieces, partial(
            rows.through, tasks=(read, partial(tasks.decode_encoded, shape=shape))
        )
    if kind == "files":
        decode = partial(tasks.decode_files, shape=shape, read=raw_files.read_input)
        return _file_frame(spark, files, config, splits_of(files, config)), decode
    found = list(_cifar10(files) if kind == "cifar10" else _idx(files))
    if not found:
        raise DataError(
            f"{config.path} holds no file named as those of {kind} are; found {_names(files)}"
        )
    names = config.label_names or _label_names(files)
    explode = partial(tasks.explode_containers, shape=shape, names=names, read=raw_files.map_input)
    return _container_frame(spark, found), explode


def _check_labels(config: ImagesConfig, kind: str) -> None:
    """Raises ConfigError for a setting of labels that these pictures have no use for."""
    if config.labels == "folder" and kind != "files":
        raise ConfigError(
            f'images.labels = "folder" is for picture files, and these are {kind};'
            f" {_OTHER_LABELS.get(kind, 'remove it')}"
        )
    if config.label_names and kind == "files" and config.labels != "folder":
        raise ConfigError(
            "images.label_names name the numbers of labels, and picture files have none; set labels"
            ' = "folder", or remove it'
        )
    if config.label_names and config.columns and config.columns.label is None:
        raise ConfigError(
            "images.label_names name the numbers of labels: set images.columns.label, or remove it"
        )


def _kind_of(files: list[RawFile]) -> str:
    """Raises ConfigError where the files' names do not say what they are."""
    names = [file.name for file in files]
    if any(_CIFAR_BINARY.fullmatch(name) or _CIFAR_PICKLE.fullmatch(name) for name in names):
        return "cifar10"
    if any(_IDX.fullmatch(name) for name in names):
        return "idx"
    suffixes = {"." + name.lower().rpartition(".")[2] for name in names}
    if suffixes <= {".parquet", ".pq"}:
        return "parquet"
    if suffixes & _PICTURES:
        return "files"
    raise ConfigError(
        f"cannot tell what {_names(files)} are; set images.format to files, parquet, cifar10 or idx"
    )


def _names(files: list[RawFile]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(file.relative for file in files[:3]) + more


def _file_frame(
    spark: SparkSession, files: list[RawFile], config: ImagesConfig, splits: Sequence[str | None]
) -> DataFrame:
    """Picture files as FILES; what is no picture by its content is found when it is decoded."""
    by_folder = config.labels == "folder"
    clean = partial(texts.clean, rules=config.text_rules())
    relative = [file.relative for file in files]
    folders, names = zip(*(path.rpartition("/")[::2] for path in relative), strict=True)
    ids = relative if by_folder else [name.rpartition(".")[0] or name for name in names]
    labels = [folder.rpartition("/")[2] or None if by_folder else None for folder in folders]
    columns = {
        "source_file": relative,
        "position": [0] * len(files),
        "item_id": clean(pa.array(ids, pa.string())),
        "label": clean(pa.array(_named(labels, config.label_names), pa.string())),
        "split": list(splits),
        "path": [file.uri for file in files],
    }
    costs = np.array([file.size + _FILE_COST for file in files], np.float64)
    return spread(spark, pa.table(columns, tasks.FILES), costs)


def _named(labels: list[str | None], names: Sequence[str]) -> list[str | None]:
    """Folders called 0, 1, ... by their names. Raises ConfigError for others."""
    for label in filter(None, labels if names else ()):
        if not (label.isdecimal() and int(label) < len(names)):
            raise ConfigError(
                f"images.label_names has {len(names)} names, for folders called 0 to"
                f" {len(names) - 1}; found {label!r}; remove it"
            )
    return [names[int(label)] if label and names else label for label in labels]


def splits_of(files: list[RawFile], config: ImagesConfig) -> list[str | None]:
    """The publisher's split of each file, by the first folder or by a name such as
    train-00000-of-00002.parquet.

    Raises ConfigError where only some of the pictures have one.
    """
    found = [split_of(file.relative, config.labels == "folder") for file in files]
    if config.split == "none" or set(found) <= {None, "train"}:
        return [None] * len(files)
    none = [
        file
        for file, split in zip(files, found, strict=True)
        if split is None and _is_named_as_pictures(file)
    ]
    if none:
        some = next(file for file, split in zip(files, found, strict=True) if split)
        raise ConfigError(
            f"{config.path}: {some.relative} seems to be of a split, and {none[0].relative} of"
            " none; if folders called train, val or test mean something else there, set"
            ' images.split = "none", or else images.path to those alone'
        )
    return found


def _is_named_as_pictures(file: RawFile) -> bool:
    return "." + file.name.lower().rpartition(".")[2] in _PICTURES | {".parquet", ".pq"}


def split_of(relative: str, has_classes: bool) -> str | None:
    """train, val or test, where the first folder, or the name of a Parquet file, says so;
    `has_classes`: classes lie below it.
    """
    first, _, rest = relative.partition("/")
    if rest and (not has_classes or "/" in rest):
        return _SPLITS.get(first.lower())
    if numbered := _NUMBERED.match(relative.lower()):
        return _SPLITS.get(numbered[1])
    return None


def _parquet(
    spark: SparkSession,
    files: list[RawFile],
    config: ImagesConfig,
    columns: ImageColumnsConfig,
    splits: Sequence[str | None],
) -> tuple[DataFrame, Task]:
    """Tasks to read encoded pictures in Parquet, and what makes ENCODED of them. Raises as
    `parquet_pictures.picture_layout`.
    """
    wanted: dict[str, str | int] = {name: column for name, column in columns if column is not None}
    facts: dict[str, Any] = {"wanted": wanted, "label_names": config.label_names}
    layouts = row_groups.layouts_of(files, partial(parquet_pictures.picture_layout, **facts))
    read = partial(parquet_pictures.read_pictures, opened=raw_files.open_arrow, **facts)
    of_file = {file.relative: split for file, split in zip(files, splits, strict=True) if split}
    complete = partial(
        tasks.complete, splits=of_file, clean=partial(texts.clean, rules=config.text_rules())
    )
    pieces = row_groups.tasks(spark, files, layouts, smallest=_SMALL_PICTURES)
    return pieces, partial(rows.through, tasks=(read, complete))


def _cifar10(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    for file in files:
        name = file.name
        binary = _CIFAR_BINARY.fullmatch(name) is not None
        if binary or _CIFAR_PICKLE.fullmatch(name):
            kind, split = (
                "cifar10-binary" if binary else "cifar10-pickle",
                "test" if name.startswith("test") else "train",
            )
            yield {
                "file": file,
                "kind": kind,
                "prefix": file.relative.removesuffix(".bin"),
                "split": split,
                "labels": None,
            }


def _idx(files: list[RawFile]) -> Iterator[dict[str, Any]]:
    labels = {
        _beside(file, found["prefix"]): file
        for file in files
        if (found := _IDX_LABELS.fullmatch(file.name))
    }
    for file in files:
        if found := _IDX.fullmatch(file.name):
            prefix = _beside(file, found["prefix"])
            split = "test" if found["prefix"].startswith(("t10k", "test")) else "train"
            yield {
                "file": file,
                "kind": "idx",
                "prefix": prefix,
                "split": split,
                "labels": labels.get(prefix),
            }


def _beside(file: RawFile, prefix: str) -> str:
    """The prefix with the file's folder before it: collections in different folders may have
    files of the same names.
    """
    return file.relative.removesuffix(file.name) + prefix


def _container_frame(spark: SparkSession, found: list[dict[str, Any]]) -> DataFrame:
    """The collections' files as CONTAINERS, in pieces that occupy every core."""
    equal = sum(container["file"].size for container in found) / (
        WAVES * spark.sparkContext.defaultParallelism
    )
    rows: list[dict[str, Any]] = []
    costs: list[float] = []
    for container in found:
        file, labels, pieces = container["file"], container["labels"], _pieces(container, equal)
        facts = {name: container[name] for name in ("kind", "prefix", "split")}
        facts |= {
            "source_file": file.relative,
            "path": file.uri,
            "labels": labels and labels.uri,
            "pieces": pieces,
        }
        rows += [facts | {"piece": piece} for piece in range(pieces)]
        costs += [(file.size + _FILE_COST) / pieces] * pieces
    return spread(spark, pa.Table.from_pylist(rows, tasks.CONTAINERS), np.array(costs))


def _pieces(container: dict[str, Any], size: float) -> int:
    """How many pieces of about a size in bytes. A pickle has to be read whole for any, a
    gzipped file to be unpacked.
    """
    if container["kind"] == "cifar10-pickle":
        return 1
    file: RawFile = container["file"]
    smallest = _SMALL_PIECE * (4 if file.path.suffix == ".gz" else 1)
    return max(1, math.ceil(file.size / max(size, smallest)))


def _label_names(files: list[RawFile]) -> tuple[str, ...]:
    """The names of CIFAR's classes where its file of names is there. Raises DataError for one
    that is damaged.
    """
    readers = dict(
        zip(
            _CIFAR_NAMES,
            (containers.read_label_names, containers.read_pickled_label_names),
            strict=True,
        )
    )
    for file in files:
        if file.name in readers:
            try:
                return tuple(readers[file.name](file.path.read_bytes()))
            except NotThisFormatError as error:
                raise DataError(f"{file.path} does not hold the classes' names: {error}") from None
    return ()
