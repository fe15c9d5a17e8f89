"""Raw files opened, read or mapped into memory; each failure is a DataError that names the file."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pyarrow import fs as arrow_fs

from emberline.datasets.storage import Location, for_arrow, locate, open_input
from emberline.errors import DataError, StorageError

_SMALL = 1 << 20  # bytes that are read, and not mapped


@contextmanager
def open_unchanged(uri: str, size: int, modified: int) -> Iterator[Any]:
    """An input file to read bytes from, closed by `with`; of the size, and here of the time of
    change, that it was listed with.

    Raises DataError where it is not, before or after it is read, and where it cannot be opened.
    """
    location = locate(uri)
    try:
        with open_input(location) as file:
            _check_unchanged(location, file, size, modified)
            yield file
            _check_unchanged(location, file, size, modified)
    except FileNotFoundError as error:
        raise DataError(f"{uri} cannot be read: it is not there any more ({error})") from error
    except StorageError:
        raise
    except OSError as error:
        raise DataError(f"{uri} cannot be read: {error}") from error


def _check_unchanged(location: Location, file: Any, size: int, modified: int) -> None:
    now = file.seek(0, os.SEEK_END)
    changed = isinstance(location, Path) and location.stat().st_mtime_ns != modified
    if now != size or changed:
        raise DataError(
            f"{location} was changed while it was read: it had {size:,} bytes, and has {now:,}; run"
            " it again"
        )
    file.seek(0)


def read_input(path: str) -> bytes:
    """The bytes of an input file. Raises DataError where it cannot be read."""
    try:
        if path.startswith("/"):  # without pathlib, which takes as long as to read a small file
            with open(path, "rb") as file:  # noqa: PTH123
                return file.read()
        content: bytes = locate(path).read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error}): it was changed while it was read, or is damaged"
        ) from error
    return content


def map_input(path: str) -> memoryview:
    """The bytes of an input file, mapped into memory where it is local and large. Raises DataError
    where it cannot be read.
    """
    if path.startswith("/"):  # as in `read_input`
        with suppress(OSError), open(path, "rb") as file:  # noqa: PTH123
            if os.fstat(file.fileno()).st_size <= _SMALL:
                return memoryview(file.read())
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    return memoryview(read_input(path))


def open_arrow(uri: str) -> Any:
    """A file that pyarrow reads at any place, without a detour through Python where it is
    local. Raises DataError without one.
    """
    path, client = for_arrow(locate(uri))
    try:
        return (client or arrow_fs.LocalFileSystem()).open_input_file(path)
    except OSError as error:
        raise DataError(f"{uri} cannot be read: {' '.join(str(error).split())}") from error
