"""Unpacking an archive from outside, of which nothing leaves the folder that it is unpacked into.

A member that would (an absolute name, `..`, a link, a device) ends it, and so do members that are
larger than expected together.
"""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO

from emberline.datasets import storage
from emberline.errors import DataError

_CHUNK = 1 << 20


@dataclass(frozen=True)
class _Member:
    """A file in an archive: its name, its size in bytes, and its contents."""

    name: str
    size: int
    content: IO[bytes]


def unpack(archive: Path, top: str, into: Path, limit: int) -> None:
    """The files below `top` in a zip or tar.gz archive, as files below `into`, of `limit` bytes
    together at most.

    Raises DataError for what is no whole archive, holds more, or has a member that is no plain file
    or folder within it.
    """
    read = _zip_members if archive.suffix == ".zip" else _tar_members
    left = limit
    try:
        for member in read(archive):
            left -= member.size
            if left < 0:
                raise DataError(
                    f"{archive.name}: unpacked, it takes more than the expected {limit:,} bytes: it"
                    " is not unpacked"
                )
            folder, *rest = PurePosixPath(member.name).parts
            if folder == top and rest:
                _write(member, into.joinpath(*rest))
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{archive.name} is not a whole archive: {error}") from None


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the archive was not made on Unix
            _check_member(archive, info.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
            if not info.is_dir():
                with opened.open(info) as content:
                    yield _Member(info.filename, info.file_size, content)


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as opened:
        for info in opened:
            _check_member(archive, info.name, info.isreg() or info.isdir())
            content = opened.extractfile(info) if info.isreg() else None
            if content:
                with content:
                    yield _Member(info.name, info.size, content)


def _check_member(archive: Path, name: str, plain: bool) -> None:
    """Raises DataError for what is no file or folder within the archive, on any operating
    system.
    """
    path = PureWindowsPath(name)  # which knows all of / and \ and C:
    if path.anchor or ".." in path.parts:
        raise DataError(
            f"{archive.name}: its member {name!r} would leave the folder it is unpacked into: it is"
            " not unpacked"
        )
    if not plain:
        raise DataError(
            f"{archive.name}: its member {name!r} is a link or a device, not a file: it is not"
            " unpacked"
        )


def _write(member: _Member, path: Path) -> None:
    """Never more than the size by which the member was counted: zipfile and tarfile stop there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as output:
        shutil.copyfileobj(member.content, output, _CHUNK)
        storage.sync_file(output)
