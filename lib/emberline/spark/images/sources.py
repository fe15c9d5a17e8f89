"""Where pictures come from: files of any kind cut into tasks, and what decodes them."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from emberline.cleaning import texts
from emberline.datasets import raw_files, rows
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task
from emberline.errors import ConfigError, DataError
from emberline.images import tasks
from emberline.images.decode import Shape
from emberline.raw import row_groups
from emberline.records import parquet_pictures
from emberline.sections.images import ImageColumnsConfig, ImagesConfig
from emberline.spark.flow import SparkFlow, frame_of
from emberline.spark.images.containers import (
    CIFAR_BINARY,
    CIFAR_PICKLE,
    IDX,
    cifar10,
    container_frame,
    idx,
    label_names,
)
from emberline.spark.images.files import PICTURES, file_frame
from emberline.spark.images.splits import splits_of

_OTHER_LABELS = {"parquet": "set images.columns.label"}
_SMALL_PICTURES = 256 << 10  # bytes of encoded pictures in Parquet that are not worth another task


def source_of(
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
        return file_frame(spark, files, config, splits_of(files, config)), decode
    found = list(cifar10(files) if kind == "cifar10" else idx(files))
    if not found:
        raise DataError(
            f"{config.path} holds no file named as those of {kind} are; found {_names(files)}"
        )
    names = config.label_names or label_names(files)
    explode = partial(tasks.explode_containers, shape=shape, names=names, read=raw_files.map_input)
    return container_frame(spark, found), explode


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
    if any(CIFAR_BINARY.fullmatch(name) or CIFAR_PICKLE.fullmatch(name) for name in names):
        return "cifar10"
    if any(IDX.fullmatch(name) for name in names):
        return "idx"
    suffixes = {"." + name.lower().rpartition(".")[2] for name in names}
    if suffixes <= {".parquet", ".pq"}:
        return "parquet"
    if suffixes & PICTURES:
        return "files"
    raise ConfigError(
        f"cannot tell what {_names(files)} are; set images.format to files, parquet, cifar10 or idx"
    )


def _names(files: list[RawFile]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(file.relative for file in files[:3]) + more


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
    pieces = row_groups.tasks(SparkFlow(spark), files, layouts, smallest=_SMALL_PICTURES)
    return frame_of(pieces), partial(rows.through, tasks=(read, complete))
