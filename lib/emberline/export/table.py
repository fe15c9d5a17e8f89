"""The command `emberline export`: a table as one file that other programs read, with outside
ids and titles.
"""

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from emberline.datasets import manifest as manifests
from emberline.datasets import rows, storage
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, DataError
from emberline.export.columns import Naming
from emberline.export.formats import Format, write

STDOUT = "-"
FORMATS: tuple[Format, ...] = get_args(Format)


def export(
    root: Location,
    table: str,
    to: str,
    style: Format | None = None,
    is_for_spreadsheets: bool = False,
) -> int:
    """Write the table to a file, whole or not at all, or to standard output; returns how many rows
    were written.

    It is read and written a few thousand rows at a time; the ids and titles of all users and items
    that it speaks of are held.
    """
    style = style or _format_of(to)
    if is_for_spreadsheets and style != "csv":
        raise ConfigError(
            f"spreadsheets read formulas from CSV; {style} needs no protection from them: leave the"
            " option out"
        )
    dataset = manifests.load(root, table)
    if dataset.manifest.kind != "table":
        raise DataError(f"{table} is no table but files; they are in {dataset.paths[0].parent}")
    naming = Naming(root, dataset)
    batches = (naming.apply(batch) for batch in rows.batches(dataset, _columns(dataset)))
    with _stream(to) as stream:
        return write(style, stream, naming.schema, batches, is_for_spreadsheets)
    return 0  # who read standard output has enough


def _columns(dataset: Dataset) -> list[str]:
    return [field["name"] for field in dataset.manifest.fields]


def _format_of(to: str) -> Format:
    """By the file's name. Raises ConfigError for a name that says none."""
    suffix = PurePosixPath(to).suffix.removeprefix(".").lower()
    for style in FORMATS:
        if suffix == style or (to == STDOUT and style == "csv"):
            return style
    raise ConfigError(
        f"--to {to}: expected a name that ends in .{', .'.join(FORMATS)}, or - for standard output;"
        " or say --format"
    )


@contextmanager
def _stream(to: str) -> Iterator[Any]:
    if to == STDOUT:
        with _closed_pipe_is_an_end():
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    location = storage.locate(to)
    if isinstance(location, Path):
        with _replacing(location) as file:
            yield file
    else:
        with storage.create(location) as file:
            yield file


@contextmanager
def _replacing(path: Path) -> Iterator[Any]:
    """A file that is there, whole, once it is written; what was there before is there until
    then.
    """
    if path.is_dir():
        raise ConfigError(f"--to {path} is a folder; give the name of a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            yield file
            storage.sync_file(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _closed_pipe_is_an_end() -> Iterator[None]:
    """`| head` has read enough: that is no failure of ours, and what is still in buffers is for
    nobody.
    """
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
