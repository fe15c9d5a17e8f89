"""The beginning of a text file: whether it is text, and what its first lines say of those that
follow.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from emberline.errors import DataError, SchemaError
from emberline.records import decoding, streams
from emberline.records.automaton import Automaton
from emberline.records.decoding import BAD, REPLACEMENT
from emberline.records.dialect import WHITESPACE, Dialect
from emberline.records.splitting import Lines, split_lines

Wanted = Mapping[str, str | int]
HEAD = 1 << 20  # bytes
SEPARATORS = (",", ";", "\t", "|", "::", WHITESPACE)
_SEPARATOR_LINE = re.compile(r'"?sep=(\t|\\t|[^"])"?', re.IGNORECASE)  # how a file tells Excel
_MAGICS = {
    b"PAR1": "Parquet",
    b"\x89PNG": "a PNG picture",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
}
_MAGICS |= {
    b"\xff\xd8\xff": "a JPEG picture",
    b"%PDF": "a PDF",
    b"SQLite format": "an SQLite database",
}
_MAGICS |= {b"\x28\xb5\x2f\xfd": "zstd"}


@dataclass(frozen=True)
class Head:
    """The first lines of a file as UTF-8; `is_whole` where they are all."""

    name: str
    data: bytes
    is_whole: bool


@dataclass(frozen=True)
class Layout:
    """What a file's first lines say: its dialect, the names of its fields (none without a header),
    how many there are.

    `dropped` are the texts of lines that are no data, wherever they stand: the header, and the line
    that names the separator.
    """

    dialect: Dialect
    names: tuple[str, ...]
    width: int
    dropped: tuple[str, ...] = ()
    first: str = ""  # the line that was cut

    def position(self, column: str | int, name: str) -> int:
        """Where a column stands, from 0. Raises SchemaError for one that the file `name` does
        not have, or has twice.
        """
        if isinstance(column, int):
            if column > self.width:
                raise SchemaError(
                    f"{name}: no column {column}; its first line has {self.width} fields "
                    f"(separator {self.dialect.separator!r}){self._hint(column)}"
                )
            return column - 1
        if self.names.count(column) != 1:
            what = (
                f"is missing{near(column, self.names)}"
                if column not in self.names
                else f"appears {self.names.count(column)} times"
            )
            raise SchemaError(
                f"{name}: column {column!r} {what}; the header, cut at {self.dialect.separator!r},"
                f" has: {shorten(', '.join(self.names))}; correct columns, separator, comment or"
                f" header in the pipeline file{self._hint(column)}"
            )
        return self.names.index(column)

    def _hint(self, column: str | int) -> str:
        """Which separator would give the column that this one does not."""
        for other in SEPARATORS:
            names = _names(self.first, self.dialect.with_separator(other))
            if column <= len(names) if isinstance(column, int) else column in names:
                return f" (separator = {other!r} would fit)"
        return ""


def near(name: str, names: Sequence[str]) -> str:
    """A question that names the one that is nearly `name`, whatever the case of its letters; ""
    without one.
    """
    folded = {other.casefold(): other for other in reversed(names)}
    close = difflib.get_close_matches(name.casefold(), list(folded), n=1)
    return f" (did you mean {folded[close[0]]!r}?)" if close else ""


def read_head(file: Any, name: str, encoding: str, size: int = HEAD) -> Head:
    """Lines of about the first `size` bytes of text; of a line that goes on and on, no more is read
    than shows that it does.

    Raises DataError for what is not text, or is damaged there.
    """
    found: list[bytes] = []
    step = min(size, streams.BLOCK)
    blocks = _checked(streams.blocks(file, name, size=step), name, encoding)
    most = max(size, 2 * decoding.LONGEST) // step
    for block in decoding.lines(islice(blocks, most), encoding):
        found.append(block.data + b"\n" if block.is_long else block.data)
        if sum(map(len, found)) >= size // 2:
            return Head(name, b"".join(found), False)
    data = b"".join(found)
    is_whole = next(blocks, None) is None
    return Head(name, data if is_whole else data[: data.rfind(b"\n") + 1], is_whole)


def _checked(blocks: Iterator[bytes], name: str, encoding: str) -> Iterator[bytes]:
    """The blocks. Raises DataError where the first one is not text."""
    for number, block in enumerate(blocks):
        if number == 0:
            _check_is_text(block, name, encoding)
        yield block


def _check_is_text(start: bytes, name: str, encoding: str) -> None:
    kind = next((kind for magic, kind in _MAGICS.items() if start.startswith(magic)), None)
    zeros = start.count(0)
    if (
        kind is None
        and zeros >= 4
        and zeros * 16 >= len(start)
        and not encoding.startswith(("utf-16", "utf-32"))
    ):
        kind = "a binary file (it holds zero bytes)"
    if kind:
        raise DataError(
            f"{name} is not text but {kind}; set format, encoding or path to what it is"
        )


def layout(head: Head, dialect: Dialect) -> Layout | None:
    """What the first lines say; None where none is data. Raises DataError for a first line that
    cannot be cut.
    """
    lines = split_lines(head.data)
    dropped: list[str] = []
    for number in range(len(lines.starts)):
        text = _text(lines, number)
        if not text.strip() or (dialect.comment and text.startswith(dialect.comment)):
            continue
        if not dropped and (found := _SEPARATOR_LINE.fullmatch(text)):
            dialect = dialect.with_separator(found[1].replace("\\t", "\t"))
            dropped.append(text)
            continue
        start, stop = int(lines.starts[number]), int(lines.ends[number])
        cut = Automaton(dialect, None).cut(head.data, start, stop, True)
        if cut.problem:
            raise DataError(
                f"{head.name}: its first line cannot be cut at {dialect.separator!r}:"
                f" {cut.problem}: {shorten(text)}"
            )
        fields = tuple(field.replace(BAD, REPLACEMENT).decode().strip() for field in cut.fields)
        if not dialect.header:
            return Layout(dialect, (), len(fields), tuple(dropped), text)
        whole = head.data[start : cut.end].replace(BAD, REPLACEMENT).decode()
        return Layout(dialect, fields, len(fields), (*dropped, whole), whole)
    return None


def _text(lines: Lines, number: int) -> str:
    return lines.data[lines.starts[number] : lines.ends[number]].replace(BAD, REPLACEMENT).decode()


def _names(first: str, dialect: Dialect) -> list[str]:
    data = first.encode()
    return [
        field.decode().strip()
        for field in Automaton(dialect, None).cut(data, 0, len(data), True).fields
    ]


def shorten(text: str) -> str:
    """As much of a text as fits a message of one line, without what a terminal would obey."""
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:201]
    )
    return shown if len(text) <= 200 else shown[:200] + "..."
