"""Where sounds come from: files or Parquet cut into tasks, and what makes spectrograms of them."""

import re
from functools import partial

from emberline.cleaning import media
from emberline.cleaning.listed import stem_of
from emberline.cleaning.media import Decoder
from emberline.datasets import raw_files, rows
from emberline.datasets.facts import Pictures
from emberline.datasets.listing import RawFile, extension_of
from emberline.datasets.rows import Task
from emberline.errors import ConfigError
from emberline.flow.rows import Flow, Rows
from emberline.media import files as media_files
from emberline.media import parquet, splits
from emberline.media.files import Naming
from emberline.media.splits import PARQUET, Asking
from emberline.media.writing import Encoded
from emberline.recordings.lists import listed_rows
from emberline.sections.sounds import SoundsConfig
from emberline.sounds.decode import Clip, decode
from emberline.sounds.formats import EXTENSIONS
from emberline.sounds.pictures import Recipe, pictures

_WITH_COLUMNS = ("parquet", "csv")
_MANY = 5000  # sounds that take longer to decode than processes take to start


def encoded_of(flow: Flow, files: list[RawFile], config: SoundsConfig) -> Encoded:
    """The files, cut into tasks, and what decodes and transforms them."""
    kind = _kind_of(files) if config.format == "auto" else config.format
    _check_columns(kind, config)
    recipe = _recipe(config)
    samples, finish = partial(decode, clip=recipe.clip), partial(pictures, recipe=recipe)
    decoder = Decoder(samples, (recipe.clip.samples,), "sound", finish)
    if config.columns is not None and kind == "csv":
        work, task, count = listed_rows(flow, files, config, config.columns, decoder)
    else:
        work, task, count = _found(flow, files, config, decoder)
    size = Pictures(*recipe.size)
    apart, played, is_named = count >= _MANY, recipe.clip_bytes, kind != "parquet"
    return Encoded(work, task, apart, size, "sound", config.path, played, is_named)


def _found(
    flow: Flow, files: list[RawFile], config: SoundsConfig, decoder: Decoder
) -> tuple[Rows, Task, int]:
    """Files of a sound each, or those in Parquet, what decodes them, and how many there are."""
    given = splits_of(files, config)
    pattern = config.names.label if config.names else None
    naming = Naming(config.labels == "folder", (), config.text_rules(), "sounds", pattern)
    if config.columns is None:
        decode_files = partial(media.decode_files, decoder=decoder, read=raw_files.map_input)
        return media_files.file_rows(flow, files, naming, given), decode_files, len(files)
    columns = {name: column for name, column in config.columns if column is not None}
    wanted = {"image" if name == "sound" else name: column for name, column in columns.items()}
    work, read, count = parquet.encoded_rows(flow, files, wanted, naming, given)
    tasks = (read, partial(media.decode_encoded, decoder=decoder))
    return work, partial(rows.through, tasks=tasks), count


def _recipe(config: SoundsConfig) -> Recipe:
    clip = Clip(config.rate, config.seconds, config.keep, config.max_seconds)
    return Recipe(clip, config.mel, config.clip_seconds)


def splits_of(files: list[RawFile], config: SoundsConfig) -> list[str | None]:
    """The publisher's split of each file, by its name or by its folder. Raises as
    `splits.splits_of`, and ConfigError where no name is one of the test set.
    """
    if config.split == "none":
        return [None] * len(files)
    if config.names is None or config.names.test is None:
        return splits.splits_of(
            files, Asking(config.path, EXTENSIONS, config.labels == "folder", "sounds")
        )
    found = [re.search(config.names.test, stem_of(file.name)) is not None for file in files]
    if not any(found):
        raise ConfigError(
            f"sounds.names.test = {config.names.test!r} finds nothing in the names of the"
            f" {len(files)} files of {config.path}, such as {files[0].relative}"
        )
    return ["test" if is_test else "train" for is_test in found]


def _check_columns(kind: str, config: SoundsConfig) -> None:
    """Raises ConfigError where columns are not for these files, or what names say is not."""
    if (kind in _WITH_COLUMNS) != (config.columns is not None):
        raise ConfigError(
            "sounds.columns goes with Parquet files and lists of paths (CSV), and these need it;"
            f" here are {kind}"
        )
    if kind == "parquet" and config.names is not None:
        raise ConfigError(
            "sounds.names is for files of one sound each, and these are Parquet; set"
            " sounds.columns.label"
        )
    if kind in _WITH_COLUMNS and config.labels == "folder":
        raise ConfigError(
            f'sounds.labels = "folder" is for files of one sound each, and these are {kind}; set'
            " sounds.columns.label"
        )


def _kind_of(files: list[RawFile]) -> str:
    """What is neither all Parquet nor all CSV is files, which are judged one by one."""
    extensions = {extension_of(file.name) for file in files}
    if extensions <= {".csv"}:
        return "csv"
    return "parquet" if extensions <= PARQUET else "files"
