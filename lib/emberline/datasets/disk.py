"""What it means that a disk refuses to be written, or a file to be read: in one line, where, what
is left there, and what to do.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, StorageError

_FULL = {errno.ENOSPC: "is full", errno.EDQUOT: "is over its quota"}
_CLOSED = {
    errno.EROFS: "is mounted read-only",
    errno.EACCES: "may not be written by this user",
    errno.EPERM: "may not be changed by this user",
    errno.EFBIG: "takes no larger files (ulimit -f)",
}
_NUMBERS = {os.strerror(number): number for number in (*_FULL, *_CLOSED)}
_REASON = "|".join(map(re.escape, _NUMBERS))
# As Java, Python and TensorFlow say it, with the place where they know it.
_JAVA = re.compile(rf"(/[^\s()]*) \(({_REASON})\)")
_PYTHON = re.compile(rf"\[Errno \d+\] [^\n]*?({_REASON})(?:: '([^'\n]+)')?")
_BARE = re.compile(rf"java\.(?:io|nio)[\w.]*: (?:[^\n]*: )?({_REASON})")
_QUOTED = re.compile(r"'(/[^'\n]+)'")
_TENSORFLOW = re.compile(rf"(/[^\s;]*); ({_REASON})")


@contextmanager
def explained(*places: Location) -> Iterator[None]:
    """Raises a disk's refusal as an error that says so; the places are those that may
    be meant.
    """
    try:
        yield
    except OSError as error:
        if refused := refusal(error, *places):
            raise refused from error
        raise


def refusal(error: BaseException, *places: Location) -> EmberlineError | None:
    """The error that says what a disk has refused, where that is what the given one is about.

    StorageError (a retry may find room) for a disk that is full, ConfigError for one that is not to
    be written, and for a file that this user may not read.
    """
    if isinstance(error, EmberlineError):
        return None
    number, name = _refused(error)
    if number is None:
        return None
    place = Path(name) if name else _fullest(places)
    if number in _FULL:
        return StorageError(
            f"the disk of {place} {_FULL[number]}: {_left(place)}, {_need(error)}; make room there,"
            f" {_ELSE}"
        )
    closed = f"{place} {_CLOSED[number]}; change that, {_ELSE}"
    return ConfigError(_unreadable(place) or closed)


def _unreadable(place: Path) -> str | None:
    """What to say of a place that this user may not even read, None of one that they may."""
    remedy = "give this user the right to, or name another place"
    for folder in reversed(place.absolute().parents):
        if folder.exists() and not os.access(folder, os.X_OK):
            return f"{place} is in {folder}, which this user may not enter; {remedy}"
    if place.exists() and not os.access(place, os.R_OK):
        return f"{place} may not be read by this user; {remedy}"
    return None


_ELSE = (
    "or set another --root, SPARK_LOCAL_DIRS or TMPDIR, whichever it is; what was there before is"
    " whole"
)


def _refused(error: BaseException) -> tuple[int | None, str | None]:
    """What was refused, as a number of `errno`, and where, if that is known."""
    text = str(error)
    if isinstance(error, OSError) and error.errno in _NUMBERS.values():
        if error.filename is not None:
            return error.errno, os.fsdecode(error.filename)
        named = _QUOTED.search(text)
        return error.errno, named and named[1]
    if found := _JAVA.search(text) or _TENSORFLOW.search(text):
        return _NUMBERS[found[2]], found[1]
    if found := _PYTHON.search(text):
        return _NUMBERS[found[1]], found[2]
    found = _BARE.search(text)
    return (_NUMBERS[found[1]], None) if found else (None, None)


def _fullest(places: Sequence[Location]) -> Path:
    """Of the places that are meant to be written, the one with the least room."""
    candidates = [*(place for place in places if isinstance(place, Path)), *temporary_folders()]
    return min(candidates, key=lambda place: shutil.disk_usage(nearest(place)).free)


def temporary_folders() -> list[Path]:
    """Where Spark and Python write what does not fit into memory, as the environment says."""
    told = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    with suppress(FileNotFoundError):  # no folder can be written
        told.append(tempfile.gettempdir())
    return [Path(folder) for folder in dict.fromkeys(told) if folder]


def nearest(folder: Path) -> Path:
    """The folder, or the innermost one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _need(error: BaseException) -> str:
    """What did not find room, where whoever wrote it has noted that."""
    return ", ".join(getattr(error, "__notes__", ())) or "and more is needed"


def _left(place: Path) -> str:
    status = os.statvfs(nearest(place))
    files = "" if status.f_favail or not status.f_files else ", and no more files can be made"
    return (
        f"{status.f_bavail * status.f_frsize:,} of {status.f_blocks * status.f_frsize:,} bytes are"
        f" left{files}"
    )
