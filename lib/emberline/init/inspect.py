"""A look at a file of which nothing is known: how it is written, and what is in its columns."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import texts
from emberline.cleaning.texts import TextRules
from emberline.datasets import listing, raw_files, storage
from emberline.datasets.listing import RawFile
from emberline.errors import DataError, EmberlineError
from emberline.init import recordings
from emberline.init.recordings import Recordings
from emberline.look import fits
from emberline.records import arrow_texts, heads, objects, parquet, streams, text
from emberline.records.dialect import Dialect
from emberline.sounds.formats import EXTENSIONS

_START = 1 << 16  # bytes by which an encoding is told
_NUMBER_OR_TIME = r"^[+-]?\d+([.,:/-]\d+)*([T ]\d+:\d+.*)?$"
_PICTURES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True)
class Table:
    """Rows of a file, or of the first of a folder's. Columns have the header's names, or their
    positions from 1 as text.
    """

    path: Path
    kind: str
    dialect: Dialect
    columns: dict[str, pa.Array]

    @property
    def rows(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0


@dataclass(frozen=True)
class Pictures:
    """A folder of pictures, and how many there are."""

    path: Path
    count: int


Found = Table | Pictures | Recordings


def inspect(path: Path) -> Found:
    """What a file or folder holds. Raises DataError for what is neither rows nor media."""
    files = listing.list_files(path)
    pictures = [file for file in files if file.name.lower().endswith(_PICTURES)]
    if len(pictures) > len(files) / 2:
        return Pictures(path, len(pictures))
    sounds = [file for file in files if listing.extension_of(file.name) in EXTENSIONS]
    if len(sounds) > len(files) / 2:
        return recordings.heard(path, sounds)
    readable = [file for file in files if text.kind_of(file.name)]
    if not readable:
        raise DataError(
            f"{path} holds neither CSV, JSON lines, Parquet, pictures nor sounds, as far as"
            " names tell"
        )
    first = max(readable, key=lambda file: file.size) if len(readable) > 1 else readable[0]
    kind = text.kind_of(first.name) or "csv"
    return _parquet(path, first) if kind == "parquet" else _text(path, first, kind)


def _parquet(path: Path, file: RawFile) -> Table:
    with raw_files.open_arrow(file.uri) as opened:
        names = parquet.layout(opened, str(file.path), {}).names
        usable = [name for name in names if _is_readable(opened, file, name)]
        _, rows = parquet.head(
            opened, str(file.path), {name: name for name in usable}, usable, usable
        )
    return Table(path, "parquet", Dialect(), _cleaned({name: rows[name] for name in usable}))


def _is_readable(opened: object, file: RawFile, name: str) -> bool:
    try:
        parquet.layout(opened, str(file.path), {name: name}, (name,))
    except EmberlineError:
        return False
    return True


def _text(path: Path, file: RawFile, kind: str) -> Table:
    encoding = _encoding(file)
    if kind == "json":
        return _read(path, file, Dialect("json", encoding=encoding))
    dialects = [
        Dialect(separator=one, escape=escape, encoding=encoding)
        for escape in ("", "\\")
        for one in heads.SEPARATORS
    ]
    tables = [_attempt(path, file, dialect) for dialect in dialects]
    best = max((found for found in tables if found), key=lambda found: found[0], default=None)
    if best is None:
        raise DataError(
            f"{file.path}: no separator cuts its lines into equally many fields; write [ratings] by"
            " hand"
        )
    table = best[1]
    return table if _has_header(table) else _read(path, file, replace(table.dialect, header=False))


def _encoding(file: RawFile) -> str:
    with storage.open_input(file.path) as opened:
        start = next(streams.blocks(opened, file.name, size=_START), b"")
    found = fits.encodings(start[: start.rfind(b"\n") + 1] or start)
    return found[0] if found else "utf-8"


def _attempt(path: Path, file: RawFile, dialect: Dialect) -> tuple[tuple[float, int], Table] | None:
    """The rows by one separator, with how well they parse and into how many fields; None where
    they do not.
    """
    try:
        table = _read(path, file, dialect)
        with storage.open_input(file.path) as opened:
            found = text.head(opened, str(file.path), dialect, {})
    except EmberlineError:
        return None
    if found is None or len(table.columns) < 2 or not found[1].num_rows:
        return None
    parsed = found[1]["problem"].null_count / found[1].num_rows
    return (round(parsed, 1), len(table.columns)), table


def _read(path: Path, file: RawFile, dialect: Dialect) -> Table:
    with storage.open_input(file.path) as opened:
        found = text.head(opened, str(file.path), dialect, {})
    if found is None:
        raise DataError(f"{file.path} holds no line of data")
    layout = found[0]
    if dialect.kind == "csv" and not dialect.header:
        wanted: dict[str, str | int] = {str(n): n for n in range(1, layout.width + 1)}
    else:
        names = [name for name in layout.names if layout.names.count(name) == 1 and name]
        if dialect.kind == "json":
            names = [
                one for name in names for one in _values_in(file, dialect, name, found[1]["raw"])
            ]
        wanted = {name: name for name in names}
    with storage.open_input(file.path) as opened:
        _, rows = text.head(opened, str(file.path), dialect, wanted, list(wanted)) or (
            layout,
            found[1],
        )
    good = rows.filter(pc.is_null(rows["problem"]))
    return Table(
        path, dialect.kind, layout.dialect, _cleaned({name: good[name] for name in wanted})
    )


def _values_in(file: RawFile, dialect: Dialect, name: str, rows: pa.Array) -> list[str]:
    """The name, where JSON has values under it; where it has objects, the paths to values in
    the first of them.
    """
    if _has_values(file, dialect, name):
        return [name]
    first = next(
        (found for row in rows.to_pylist() if isinstance(found := _value(row, name), dict)), {}
    )
    return [path for path in (f"{name}.{key}" for key in first) if _has_values(file, dialect, path)]


def _value(row: str, name: str) -> object:
    try:
        return objects.value(json.loads(row), name)
    except (ValueError, AttributeError):
        return None


def _has_values(file: RawFile, dialect: Dialect, name: str) -> bool:
    try:
        with storage.open_input(file.path) as opened:
            return text.head(opened, str(file.path), dialect, {name: name}, [name]) is not None
    except EmberlineError:
        return False


def _cleaned(columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
    return {name: texts.clean(column, TextRules()) for name, column in columns.items()}


def _has_header(table: Table) -> bool:
    """Whether the first line has names: none of its fields is a number, a time, or a text that
    stands in its column again.
    """
    names = pa.array(list(table.columns), pa.string())
    if pc.any(pc.match_substring_regex(names, _NUMBER_OR_TIME)).as_py():
        return False
    return not any(name in column.to_pylist()[:200] for name, column in table.columns.items())


def kind_of_values(column: pa.Array) -> str:
    """time, number, text or nothing."""
    if column.null_count == len(column):
        return "nothing"
    if pc.any(pc.starts_with(column, arrow_texts.MOMENT)).as_py() or fits.formats(column):
        return "time"
    return "number" if fits.number_ways(column) else "text"
