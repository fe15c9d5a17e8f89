"""The publisher's split of pictures, where folders or files are called train, val or test."""

import re

from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError
from emberline.sections.images import ImagesConfig
from emberline.spark.images.files import PICTURES

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# how datasets of Hugging Face number the files of a split
_NUMBERED = re.compile(r"([a-z]+)-\d+-of-\d+")


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
    return "." + file.name.lower().rpartition(".")[2] in PICTURES | {".parquet", ".pq"}


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
