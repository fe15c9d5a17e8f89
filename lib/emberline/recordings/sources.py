"""Where sounds come from: files or Parquet cut into tasks, and what makes spectrograms of them."""

import re
from functools import partial

from emberline.cleaning import media
from emberline.cleaning.media import Decoder
from emberline.datasets import raw_files, rows
from emberline.datasets.facts import Pictures
from emberline.datasets.listing import RawFile, extension_of
from emberline.datasets.rows import Task
from emberline.errors import ConfigError
from emberline.flow.rows import Flow
from emberline.media import files as media_files
from emberline.media import parquet, splits
from emberline.media.files import Naming, stem_of
from emberline.media.splits import PARQUET, Asking
from emberline.media.writing import Encoded
from emberline.sections.sounds import SoundsConfig
from emberline.sounds.decode import Clip, decode
from emberline.sounds.formats import EXTENSIONS
from emberline.sounds.pictures import Recipe, pictures

_MANY = 5000  # sounds that take longer to decode than processes take to start


def encoded_of(flow: Flow, files: list[RawFile], config: SoundsConfig) -> Encoded:
    """The files, cut into tasks, and what decodes and transforms them."""
    _check_columns(files, config)
    recipe = _recipe(config)
    samples, finish = partial(decode, clip=recipe.clip), partial(pictures, recipe=recipe)
    decoder = Decoder(samples, (recipe.clip.samples,), "sound", finish)
    given = splits_of(files, config)
    pattern = config.names.label if config.names else None
    naming = Naming(config.labels == "folder", (), config.text_rules(), "sounds", pattern)
    if config.columns is None:
        task: Task = partial(media.decode_files, decoder=decoder, read=raw_files.map_input)
        work, count = media_files.file_rows(flow, files, naming, given), len(files)
    else:
        wanted = {
            "image" if name == "sound" else name: column
            for name, column in config.columns
            if column is not None
        }
        work, read, count = parquet.encoded_rows(flow, files, wanted, naming, given)
        tasks = (read, partial(media.decode_encoded, decoder=decoder))
        task = partial(rows.through, tasks=tasks)
    size = Pictures(*recipe.size)
    return Encoded(work, task, count >= _MANY, size, "sound", config.path, recipe.clip_bytes)


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


def _check_columns(files: list[RawFile], config: SoundsConfig) -> None:
    """Raises ConfigError where columns are not for these files, or what names say is not."""
    kind = config.format if config.format != "auto" else _kind_of(files)
    if (kind == "parquet") != (config.columns is not None):
        raise ConfigError(
            f"sounds.columns goes with Parquet files, and Parquet files need it; these are {kind}"
        )
    if kind == "parquet" and (config.labels == "folder" or config.names is not None):
        told = 'labels = "folder"' if config.labels == "folder" else "names"
        raise ConfigError(
            f"sounds.{told} is for files of one sound each, and these are Parquet; set"
            " sounds.columns.label"
        )


def _kind_of(files: list[RawFile]) -> str:
    """Whatever is not all Parquet is files, which are judged one by one."""
    return "parquet" if {extension_of(file.name) for file in files} <= PARQUET else "files"
