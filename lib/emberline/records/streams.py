"""The bytes of a file, decompressed, a block at a time, to their proper end or with an error."""

import bz2
import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from emberline.errors import DataError, EmberlineError

BLOCK = 4 << 20
_COMPRESSIONS = {".gz": "gzip", ".bz2": "bzip2", ".zst": "zstd"}


def compression(name: str) -> str | None:
    """What a file's name says of its compression, in any case of letters."""
    return next(
        (kind for suffix, kind in _COMPRESSIONS.items() if name.lower().endswith(suffix)), None
    )


def without_compression(name: str) -> str:
    """The name in small letters, without the ending that tells the compression."""
    return name.lower().removesuffix(
        next((s for s in _COMPRESSIONS if name.lower().endswith(s)), "")
    )


def blocks(
    file: Any, name: str, start: int = 0, end: int | None = None, size: int = BLOCK
) -> Iterator[bytes]:
    """The bytes from `start` to `end` of an open file, or all that it unpacks to where its name
    says that it is compressed.

    Raises DataError where the file ends before that, or is damaged.
    """
    try:
        kind = compression(name)
        yield from (
            _between(file, name, start, end, size)
            if kind is None
            else _UNPACK[kind](file, name, size)
        )
    except EmberlineError:
        raise
    except (OSError, zlib.error, EOFError, pa.ArrowException) as error:
        raise damaged(name, str(error)) from error


def damaged(name: str, why: str) -> DataError:
    """What is said of a file whose bytes are not all there."""
    return DataError(
        f"{name} cannot be read: it is damaged, cut off, or was changed while it was read ({why});"
        " bring it anew"
    )


def _between(file: Any, name: str, start: int, end: int | None, size: int) -> Iterator[bytes]:
    file.seek(start)
    at = start
    while end is None or at < end:
        block = file.read(size if end is None else min(size, end - at))
        if not block and end is not None:
            raise damaged(name, f"it ends at byte {at:,}, {end:,} were expected")
        if not block:
            return
        at += len(block)
        yield block


class _Gzip:
    """zlib's decompressor of one member of a gzip file, with the interface of bz2's."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def decompress(self, data: bytes, size: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, size)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _members(make: Callable[[], Any]) -> Callable[[Any, str, int], Iterator[bytes]]:
    """What unpacks members that follow one another, each to its own end; zeros behind the last
    are padding.
    """

    def unpack(file: Any, name: str, size: int) -> Iterator[bytes]:
        packed, first = file.read(BLOCK), True
        while first or packed.strip(b"\0"):
            member, first = make(), False
            while not member.eof:
                if member.needs_input and not packed and not (packed := file.read(BLOCK)):
                    raise damaged(name, "its compressed text breaks off")
                feed, packed = (packed, b"") if member.needs_input else (b"", packed)
                if text := member.decompress(feed, size):
                    yield text
            packed = member.unused_data + packed
            while not packed.strip(b"\0") and (more := file.read(BLOCK)):
                packed = more

    return unpack


class _Reading(io.RawIOBase):
    """A file to read from that others cannot close."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        found: bytes = self._file.read(size)
        return found


def _unpack_zstd(file: Any, name: str, size: int) -> Iterator[bytes]:
    if not file.read(1):
        raise damaged(name, "it is empty")
    file.seek(0)
    with pa.CompressedInputStream(pa.PythonFile(_Reading(file), mode="r"), "zstd") as stream:
        while text := stream.read(size):
            yield text


_UNPACK = {"gzip": _members(_Gzip), "bzip2": _members(bz2.BZ2Decompressor), "zstd": _unpack_zstd}
