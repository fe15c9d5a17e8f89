"""The publisher's split of pictures, where folders or files are called train, val or test."""

import re
from collections.abc import Set
from dataclasses import dataclass

from emberline.datasets.listing import RawFile, extension_of
from emberline.errors import ConfigError

PARQUET = frozenset({".parquet", ".pq"})
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# how datasets of Hugging Face number the files of a split
_NUMBERED = re.compile(r"([a-z]+)-\d+-of-\d+")


@dataclass(frozen=True)
class Asking:
    """What splits are asked for: of the files at a path, of whose names `extensions` are those that
    count, where classes lie below the first folder or not; `section` is the one of the pipeline
    file that has it.
    """

    path: str
    extensions: Set[str]
    has_classes: bool
    section: str


def splits_of(files: list[RawFile], asking: Asking) -> list[str | None]:
    """The publisher's split of each file, by the first folder or by a name such as
    train-00000-of-00002.parquet.

    Raises ConfigError where only some of the files have one.
    """
    found = [split_of(file.relative, asking.has_classes) for file in files]
    if set(found) <= {None, "train"}:
        return [None] * len(files)
    none = [
        file
        for file, split in zip(files, found, strict=True)
        if split is None and extension_of(file.name) in asking.extensions | PARQUET
    ]
    if none:
        some = next(file for file, split in zip(files, found, strict=True) if split)
        raise ConfigError(
            f"{asking.path}: {some.relative} seems to be of a split, and {none[0].relative} of"
            " none; if folders called train, val or test mean something else there, set"
            f' {asking.section}.split = "none", or else {asking.section}.path to those alone'
        )
    return found


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
