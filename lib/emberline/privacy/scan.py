"""Every byte below a folder searched for texts: files as they are, names, Parquet decoded, archives
unpacked.

A text that might as well be another's (a short number) cannot be told from others in bytes: it is
looked for in the columns of users' ids alone.
"""

import gzip
import html
import io
import json
import urllib.parse
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import IO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.datasets import storage
from emberline.datasets.storage import Location

_CHUNK = 8 << 20
_LEAST, _LEAST_OF_DIGITS = 5, 8  # characters of a text that is told from others
_ID = "user_id"


@dataclass
class Looked:
    """What was looked at, and by file how often any of the texts was `found` there."""

    files: int = 0
    bytes: int = 0
    decoded_files: int = 0
    decoded_bytes: int = 0
    too_short: int = 0
    found: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, times: int) -> None:
        """Found so often in a file."""
        if times:
            self.found[name] = self.found.get(name, 0) + times


@dataclass(frozen=True)
class Wanted:
    """The texts that are looked for as values of users' ids, and as bytes in any file."""

    ids: pa.Array
    patterns: tuple[bytes, ...]

    @classmethod
    def of(cls, texts: Collection[str]) -> "Wanted":
        told = {text for text in texts if is_told(text)}
        written = {one.encode() for text in told for one in _written(text)}
        return cls(pa.array(sorted(texts), pa.string()), tuple(sorted(written)))

    def times_in(self, content: bytes | memoryview) -> int:
        """How often any of the patterns is in the bytes."""
        plain = bytes(content) if self.patterns else b""
        return sum(plain.count(pattern) for pattern in self.patterns)

    @property
    def longest(self) -> int:
        return max(map(len, self.patterns), default=1)


def is_told(text: str) -> bool:
    """Whether a text is told from others wherever it stands."""
    return len(text) >= (_LEAST_OF_DIGITS if text.isdigit() else _LEAST)


def _written(text: str) -> set[str]:
    """The ways in which files may have it."""
    return {text, json.dumps(text)[1:-1], html.escape(text), urllib.parse.quote(text, safe="")}


def scan(folder: Location, texts: Collection[str]) -> Looked:
    """Look for the texts in everything below a folder."""
    wanted, looked = Wanted.of(texts), Looked()
    looked.too_short = sum(not is_told(text) for text in texts)
    for path in storage.files_below(folder):
        name = storage.below(path, folder)
        looked.files += 1
        looked.note(name, wanted.times_in(name.encode(errors="surrogateescape")))
        looked.note(name, _in_bytes(path, wanted, looked))
        looked.note(name, _decoded(path, wanted, looked))
    return looked


def _in_bytes(path: Location, wanted: Wanted, looked: Looked) -> int:
    times, tail = 0, b""
    with storage.open_input(path) as file:
        while chunk := file.read(_CHUNK):
            looked.bytes += len(chunk)
            piece = tail + chunk
            times += wanted.times_in(piece)
            tail = piece[len(piece) - wanted.longest + 1 :] if wanted.longest > 1 else b""
            times -= wanted.times_in(tail)
    return times + wanted.times_in(tail)


def _decoded(path: Location, wanted: Wanted, looked: Looked) -> int:
    """What a file holds in packed form."""
    with storage.open_input(path) as file:
        start = file.read(4)
    if start == b"PAR1":
        return _counted(_parquet(path, wanted), looked)
    if start[:2] == b"\x1f\x8b":
        return _counted(_gzip(path, wanted), looked)
    if start == b"PK\x03\x04":
        return _counted(_zip(path, wanted), looked)
    return 0


def _counted(pieces: Iterator[tuple[int, int]], looked: Looked) -> int:
    looked.decoded_files += 1
    total = 0
    for times, size in pieces:
        total += times
        looked.decoded_bytes += size
    return total


def _parquet(path: Location, wanted: Wanted) -> Iterator[tuple[int, int]]:
    """Each column that may hold texts: how often these are in it, and how long it is."""
    name, client = storage.for_arrow(path)
    with pq.ParquetFile(name, filesystem=client) as file:
        columns = [each.name for each in file.schema_arrow if _holds_text(each, wanted)]
        for group in range(file.num_row_groups if columns else 0):
            for column in columns:
                for chunk in file.read_row_group(group, [column]).column(0).chunks:
                    yield _in_column(column, chunk, wanted), chunk.nbytes


def _holds_text(field: pa.Field, wanted: Wanted) -> bool:
    """Whether a column may have any of the texts: users' ids, or where some are told from others
    wherever they stand, texts and bytes, also within lists and structs.
    """
    kind = field.type
    if field.name == _ID:
        return True
    if pa.types.is_struct(kind):
        return any(_holds_text(inner, wanted) for inner in kind)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_text(kind.value_field, wanted)
    of_words = pa.types.is_dictionary(kind) and _is_text(kind.value_type)
    return bool(wanted.patterns) and (of_words or _is_text(kind))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _in_column(name: str, values: pa.Array, wanted: Wanted) -> int:
    if name == _ID:
        return pc.sum(pc.is_in(values.cast(pa.string()), wanted.ids)).as_py() or 0
    while pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = pc.list_flatten(values)
    if pa.types.is_struct(values.type):
        fields = values.type
        return sum(_in_column(each.name, values.field(each.name), wanted) for each in fields)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary
    content = values.buffers()[-1] if _is_text(values.type) else None
    return wanted.times_in(memoryview(content)) if content is not None else 0


def _gzip(path: Location, wanted: Wanted) -> Iterator[tuple[int, int]]:
    with storage.open_input(path) as file, gzip.open(io.BytesIO(file.read())) as unpacked:
        yield from _unpacked(unpacked, wanted)


def _zip(path: Location, wanted: Wanted) -> Iterator[tuple[int, int]]:
    with storage.open_input(path) as file, zipfile.ZipFile(io.BytesIO(file.read())) as archive:
        for name in archive.namelist():
            yield wanted.times_in(name.encode()), len(name)
            with archive.open(name) as member:
                yield from _unpacked(member, wanted)


def _unpacked(stream: IO[bytes] | gzip.GzipFile, wanted: Wanted) -> Iterator[tuple[int, int]]:
    try:
        content = stream.read()
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile):
        return  # not what its first bytes say; those were looked at as they are
    yield wanted.times_in(content), len(content)
