"""The few file operations that datasets need, on a path or a `file://` URI.

Local storage only, so far: everything else in Emberline goes through these functions, so that other schemes have one place to
arrive.
"""

import glob
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from emberline.errors import ConfigError, DataError

SCHEMES = ("file",)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_HADOOP_GLOB = re.compile(r"([\\*?\[\]{},])")


@dataclass(frozen=True)
class RawFile:
    """One input file: where it is, its path below the input folder, its size in bytes and modification time in nanoseconds."""

    path: Path
    relative: str
    size: int
    modified: int


def local_path(uri: str | Path) -> Path:
    """The absolute path that a plain path or a `file://` URI names. Raises ConfigError for a scheme that is not supported."""
    text = str(uri)
    if not _SCHEME.match(text):
        return Path(text).expanduser().absolute()
    scheme, _, path = text.partition("://")
    if scheme.lower() not in SCHEMES:
        raise ConfigError(f"{text}: scheme {scheme}:// is not supported (supported: a plain path, file://)")
    if not path.startswith("/"):
        raise ConfigError(f"{text}: a file URI has three slashes and an absolute path: file:///{path}")
    return Path(unquote(path))


def list_files(uri: str | Path) -> list[RawFile]:
    """The files that a path, a folder (all levels) or a glob names, sorted; names starting with `_` or `.` are not data.

    Raises DataError where there is none.
    """
    path = local_path(uri)
    if path.is_file():
        base, found = path.parent, [path]
    elif path.is_dir():
        base, found = path, list(_walk(path))
    elif glob.has_magic(str(path)):
        base = _base_of_glob(path)
        found = [p for p in map(Path, glob.glob(str(path), recursive=True)) if p.is_file() and _is_data(p.relative_to(base))]
    else:
        raise DataError(f"{path} does not exist; put the data there, or set the path to where it is")
    if not found:
        raise DataError(f"{path} holds no files (names starting with _ or . do not count)")
    return sorted((_raw_file(p, base) for p in found), key=lambda file: file.relative)


def _walk(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and _is_data(path.relative_to(folder)):
            yield path


def _is_data(relative: Path) -> bool:
    return not any(part.startswith(("_", ".")) for part in relative.parts)


def _base_of_glob(path: Path) -> Path:
    base = path
    while glob.has_magic(str(base)):
        base = base.parent
    return base


def _raw_file(path: Path, base: Path) -> RawFile:
    stat = path.stat()
    return RawFile(path, path.relative_to(base).as_posix(), stat.st_size, stat.st_mtime_ns)


def for_spark(path: Path) -> str:
    """The name under which Spark reads exactly this file: what Hadoop would take for a glob is escaped."""
    return _HADOOP_GLOB.sub(r"\\\1", str(path))


def inside(folder: Path, relative: str) -> Path:
    """`folder / relative`. Raises DataError where that would leave the folder: `relative` may come from a file."""
    path = folder / relative
    if Path(relative).is_absolute() or ".." in Path(relative).parts or not relative:
        raise DataError(f"{relative!r} does not name a place inside {folder}")
    return path


def replace_file(path: Path, content: bytes) -> None:
    """Make `content` the whole of `path` in one step: a reader finds the old bytes or the new ones, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
