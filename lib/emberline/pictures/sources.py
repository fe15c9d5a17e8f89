"""Where pictures come from: files of any kind cut into tasks, and what decodes them."""

from dataclasses import replace
from functools import partial

from emberline.cleaning import collections, media
from emberline.cleaning.media import Decoder
from emberline.datasets import raw_files, rows
from emberline.datasets.facts import Pictures
from emberline.datasets.listing import RawFile, extension_of
from emberline.datasets.rows import Task
from emberline.errors import ConfigError, DataError
from emberline.flow.rows import Flow, Rows
from emberline.images.decode import Shape, decode
from emberline.images.formats import EXTENSIONS
from emberline.media import files as media_files
from emberline.media import parquet, splits
from emberline.media.files import Naming
from emberline.media.splits import PARQUET, Asking
from emberline.media.writing import Encoded
from emberline.pictures.containers import (
    CIFAR_BINARY,
    CIFAR_PICKLE,
    IDX,
    cifar10,
    container_rows,
    idx,
    label_names,
)
from emberline.sections.images import ImagesConfig

_OTHER_LABELS = {"parquet": "set images.columns.label"}
_MANY = 5000  # pictures that take longer to decode than processes take to start
_COLLECTIONS = {"cifar10": cifar10, "idx": idx}


def encoded_of(flow: Flow, files: list[RawFile], config: ImagesConfig) -> Encoded:
    """The files, cut into tasks, and what decodes them."""
    kind = config.format if config.format != "auto" else _kind_of(files)
    if (kind == "parquet") != (config.columns is not None):
        raise ConfigError(
            f"images.columns goes with Parquet files, and Parquet files need it; these are {kind}"
        )
    _check_labels(config, kind)
    if kind in _COLLECTIONS:
        return _collections(flow, files, config, kind)
    return _encoded(flow, files, config)


def _encoded(flow: Flow, files: list[RawFile], config: ImagesConfig) -> Encoded:
    """Picture files, or those in Parquet."""
    shape = _shape(config)
    decoder = Decoder(partial(decode, shape=shape), shape.size, "picture")
    naming = Naming(config.labels == "folder", config.label_names, config.text_rules(), "images")
    given = splits_of(files, config)
    if config.columns is None:
        decoding = partial(media.decode_files, decoder=decoder, read=raw_files.read_input)
        work = media_files.file_rows(flow, files, naming, given)
        return replace(_of(work, decoding, config, len(files)), is_named=True)
    wanted = {name: column for name, column in config.columns if column is not None}
    work, read, count = parquet.encoded_rows(flow, files, wanted, naming, given)
    tasks = (read, partial(media.decode_encoded, decoder=decoder))
    return _of(work, partial(rows.through, tasks=tasks), config, count)


def _of(work: Rows, decode: Task, config: ImagesConfig, by_python: int) -> Encoded:
    """So many are decoded one by one."""
    size = Pictures(config.height, config.width, config.channels)
    return Encoded(work, decode, by_python >= _MANY, size, "picture", config.path)


def _collections(flow: Flow, files: list[RawFile], config: ImagesConfig, kind: str) -> Encoded:
    found = list(_COLLECTIONS[kind](files))
    if not found:
        raise DataError(
            f"{config.path} holds no file named as those of {kind} are; found {_names(files)}"
        )
    names = tuple(config.label_names or label_names(files))
    read = raw_files.map_input
    explode = partial(collections.explode_containers, shape=_shape(config), names=names, read=read)
    return _of(container_rows(flow, found), explode, config, by_python=0)


def _shape(config: ImagesConfig) -> Shape:
    return Shape(config.height, config.width, config.channels, config.fit, config.max_pixels)


def splits_of(files: list[RawFile], config: ImagesConfig) -> list[str | None]:
    """The publisher's split of each file. Raises as `splits.splits_of`."""
    if config.split == "none":
        return [None] * len(files)
    asking = Asking(config.path, EXTENSIONS, config.labels == "folder", "images")
    return splits.splits_of(files, asking)


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
    suffixes = set(map(extension_of, names))
    if suffixes <= PARQUET:
        return "parquet"
    if suffixes & EXTENSIONS:
        return "files"
    raise ConfigError(
        f"cannot tell what {_names(files)} are; set images.format to files, parquet, cifar10 or idx"
    )


def _names(files: list[RawFile]) -> str:
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return ", ".join(file.relative for file in files[:3]) + more
