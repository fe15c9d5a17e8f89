"""A pipeline for files that somebody has, written from a look at their first rows."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from emberline import pipelines, stages
from emberline.datasets import listing, storage
from emberline.errors import ConfigError, DataError
from emberline.init import sections
from emberline.init.inspect import Found, Pictures, Table, inspect
from emberline.init.recordings import Recordings
from emberline.init.sections import Section
from emberline.logs import one_line
from emberline.look.examine import Finding, look
from emberline.look.sources import of_stage
from emberline.records import text

_MOST_TABLES = 20  # a folder of more is one log, whatever they begin with
_LONGEST_LINE = 1 << 16  # bytes
_MODELS = ["", "[als]", "", "[recommend]", "", "[evaluate]", "", "[report]"]
_CONTENT = ["", "[content]  # what is said of items says who likes those that are new"]


@dataclass(frozen=True)
class Written:
    """What was found, what a person should check, and what the first rows say of the settings."""

    found: list[str]
    doubts: list[str]
    findings: list[Finding]


def write(paths: Sequence[Path], to: Path) -> Written:
    """Write the pipeline to a file that is not there yet.

    Raises ConfigError where it is, or the files have no log of who liked what; DataError for a file
    that cannot be read.
    """
    if to.exists():
        raise ConfigError(f"{to} is there already; give another file with --to, or remove it")
    contents = [inspect(path) for path in chain.from_iterable(map(things_in, paths))]
    found = [_told(content) for content in contents]
    made = list(_sections(contents, to.parent))
    doubts = [f"[{section.name}] {doubt}" for section in made for doubt in section.doubts]
    try:
        with to.open("x", encoding="utf-8") as file:
            file.write("\n".join(_lines(paths, made)))
    except OSError as error:
        raise ConfigError(f"{to} cannot be written: {error.strerror}") from None
    return Written(found, doubts, _look(to))


def things_in(path: Path) -> list[Path]:
    """A folder that holds several things, such as a log, products and a folder of pictures, as
    those; else the path itself.
    """
    inside = [
        one
        for one in storage.children(path)
        if isinstance(one, Path) and not one.name.startswith((".", "_"))
    ]
    folders = [one for one in inside if one.is_dir()]
    tables = [one for one in inside if one.is_file() and text.kind_of(one.name)]
    headers = {start for one in tables if not re.search(rb"\d", start := _start(one))}
    is_mixed = bool(folders and tables) or 1 < len(tables) == len(headers)
    return [*tables, *folders] if is_mixed and len(tables) <= _MOST_TABLES else [path]


def _start(path: Path) -> bytes:
    """The first line, by which files of one log are alike, where it is a header; those have
    hardly ever digits.
    """
    with path.open("rb") as file:
        return file.readline(_LONGEST_LINE)


def _sections(contents: Sequence[Found], folder: Path) -> Iterator[Section]:
    """One log, the attributes of items and of users, pictures and sounds."""
    tables = [content for content in contents if isinstance(content, Table)]
    known = [(table, sections.roles_of(table)) for table in tables]
    logs = [(table, found) for table, found in known if {"user_id", "item_id"} <= found.keys()]
    if len(logs) != 1:
        names = ", ".join(str(table.path) for table, _ in logs)
        raise ConfigError(
            f"several files look like the log of who liked what: {names}; give one, or a folder or"
            " glob of all"
            if logs
            else (
                "no file has columns that look like those of people and of items; found:"
                f" {_columns(tables) or 'no table'}"
            )
        )
    yield sections.ratings(*logs[0], path=_path(logs[0][0].path, folder))
    for side in ("item", "user"):
        sided = [
            (table, found)
            for table, found in known
            if (table, found) not in logs and f"{side}_id" in found
        ]
        for table, found in sided:
            section = sections.attributes(table, found, _path(table.path, folder), side)
            yield Section(
                section.name if len(sided) == 1 else f"[{section.name}]",
                section.lines,
                section.doubts,
            )
    yield from _media(contents, folder)


def _media(contents: Sequence[Found], folder: Path) -> Iterator[Section]:
    """Pictures and sounds, the first folder of each. Raises ConfigError for several."""
    pictures = [content for content in contents if isinstance(content, Pictures)]
    sounds = [content for content in contents if isinstance(content, Recordings)]
    for found, what in ((pictures, "pictures"), (sounds, "sounds")):
        if len(found) > 1:
            names = ", ".join(str(content.path) for content in found)
            raise ConfigError(f"several folders hold {what}: {names}; give one of all")
    for content in pictures:
        yield sections.images(_path(content.path, folder))
    for recorded in sounds:
        yield sections.sounds(recorded, _path(recorded.path, folder), not pictures)


def _columns(tables: Sequence[Table]) -> str:
    return "; ".join(f"{table.path} has {', '.join(table.columns)}" for table in tables)


def _lines(paths: Sequence[Path], made: Sequence[Section]) -> Iterator[str]:
    yield (
        f"# From a look at the first rows of {one_line(', '.join(path.name for path in paths))}."
        " Please check:"
    )
    for section in made:
        yield from (f"#   [{section.name}] {one_line(doubt)}" for doubt in section.doubts)
    yield "# Every setting is told of in the README and in docs."
    for section in made:
        yield from ("", f"[{section.name}]", *section.lines)
    has_content = any(map(sections.says_something, made))
    yield from (*_MODELS[:2], *(_CONTENT if has_content else ()), *_MODELS[2:], "")


def _path(path: Path, folder: Path) -> str:
    """How a pipeline in a folder names a file: from there, where it is below."""
    here, there = path.absolute(), folder.absolute()
    return here.relative_to(there).as_posix() if here.is_relative_to(there) else os.fspath(here)


def _told(content: Found) -> str:
    if not isinstance(content, Table):
        what = "pictures" if isinstance(content, Pictures) else "sounds"
        return f"{content.path}: {content.count:,} {what}"
    written = content.kind if content.kind != "csv" else f"csv cut at {content.dialect.separator!r}"
    encoding = "" if content.kind == "parquet" else f" in {content.dialect.encoding}"
    return f"{content.path}: {written}{encoding}, columns {', '.join(content.columns)}"


def _look(to: Path) -> list[Finding]:
    """What the pipeline's own look says of the first rows."""
    config = pipelines.load(to)
    sources = [source for stage in stages.in_pipeline(config) for source in of_stage(config, stage)]
    try:
        return [
            finding
            for source in sources
            for finding in look(source, listing.list_files(source.config.path))
        ]
    except DataError as error:
        return [Finding(to.name, str(error), True)]
