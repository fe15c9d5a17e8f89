"""Where a large file may be cut: at the beginning of a record, found from any place in it without
reading what comes before.

A place is inside a quoted field only if the quotes around it could be the field's: the last one
before it that is not doubled stands where a field begins, the next one where a field ends, both
near enough. Mostly they could not. Where they could, a place before it is looked for where they
could not, and records are cut from there on.
"""

import codecs
import functools
import re
from bisect import bisect_left
from typing import Any

import numpy as np

from emberline.records.automaton import LONGEST_QUOTED
from emberline.records.dialect import Dialect
from emberline.records.splitting import Splitter

_AROUND = 1 << 16


def can_cut(dialect: Dialect) -> bool:
    """Whether bytes can be looked at before they are decoded, because they are those of UTF-8."""
    marks = dialect.separator + dialect.quote + dialect.escape + dialect.comment
    return codecs.lookup(dialect.encoding).name in ("utf-8", "utf-8-sig", "ascii") or (
        marks.isascii() and _is_one_byte(dialect.encoding)
    )


@functools.cache
def _is_one_byte(encoding: str) -> bool:
    """Whether a byte is a character, and ASCII is as ever."""
    text = bytes(range(256)).decode(encoding, "replace")
    return len(text) == 256 and text[:128] == bytes(range(128)).decode("ascii")


class Cutter:
    """Finds places in an open file of `size` bytes whose records have `width` fields."""

    def __init__(self, file: Any, size: int, dialect: Dialect, width: int) -> None:
        self._file, self._size = file, size
        self._quote, self._width, self._dialect = dialect.quote.encode(), width, dialect
        escape, quote = re.escape(dialect.escape.encode()), re.escape(self._quote)
        self._runs = re.compile(
            (escape + rb".|" if escape else b"") + rb"((?:" + quote + rb")++)", re.DOTALL
        )
        separator = rb"[ \t]" if dialect.is_whitespace else re.escape(dialect.separator.encode())
        blanks = rb"[" + dialect.blanks + rb"]*+" if dialect.blanks else rb""
        self._closes = re.compile(blanks + rb"(?:" + separator + rb"|[\r\n]|\Z)")
        self._before = (b" ", b"\t") if dialect.is_whitespace else (dialect.separator.encode(),)
        self._blanks = dialect.blanks

    def record_after(self, place: int) -> int:
        """Where the first record begins at `place` or behind it; the file's size where none
        does.
        """
        if place <= 0 or place >= self._size:
            return max(0, min(place, self._size))
        line = self._line_after(place)
        if line >= self._size or not self._quote or self._dialect.kind == "json":
            return line
        back = _AROUND + LONGEST_QUOTED
        while True:
            start = max(0, line - back)
            window = _Window(self, start, self._bytes(start, line + LONGEST_QUOTED + _AROUND))
            if (sure := window.sure_line(line)) is not None:
                return line if sure == line else self._walk(sure, line)
            back *= 4

    def may_open(self, data: bytes, at: int) -> bool:
        """Whether a field may begin at a place, or before the blanks in front of it."""
        while at > 0 and data[at - 1] in self._blanks:
            at -= 1
        return at == 0 or data[at - 1] in b"\r\n" or data.endswith(self._before, 0, at)

    def may_close(self, data: bytes, at: int) -> bool:
        """Whether a field may end at a place."""
        return self._closes.match(data, at) is not None

    def _bytes(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        found = []
        at, end = start, min(end, self._size)
        while at < end and (block := self._file.read(end - at)):
            found.append(block)
            at += len(block)
        return b"".join(found)

    def _line_after(self, place: int) -> int:
        """The first line that begins at `place` or behind it."""
        at = place - 1
        while at < self._size:
            block = self._bytes(at, at + _AROUND)
            if not block:
                return self._size
            if found := re.search(rb"\r\n|\n|\r", block):
                if found[0] == b"\r" and found.end() == len(block) and at + len(block) < self._size:
                    return (
                        at
                        + found.end()
                        + (self._bytes(at + found.end(), at + found.end() + 1) == b"\n")
                    )
                return at + found.end()
            at += len(block)
        return self._size

    def _walk(self, sure: int, line: int) -> int:
        """The first record at or behind a line, cutting records from a sure place on."""
        splitter, ahead = Splitter(self._dialect, self._width), LONGEST_QUOTED + _AROUND
        while True:
            data = self._bytes(sure, line + ahead)
            is_last = sure + len(data) >= self._size
            data = data if is_last else data[: data.rfind(b"\n") + 1]
            records, end = splitter.split(data, is_last)
            if sure + end <= line < self._size and not is_last:
                ahead *= 4
                continue
            number = int(np.searchsorted(records.starts, line - sure, "right")) - 1
            if (
                number < 0
                or records.starts[number] == line - sure
                or records.ends[number] < line - sure
            ):
                return line
            return self._line_after(sure + int(records.ends[number]) + 1)


class _Window:
    """Some of a file's bytes, from `start` on, with the runs of quotes in it that do not cancel
    out.
    """

    def __init__(self, cutter: Cutter, start: int, data: bytes) -> None:
        self._cutter, self._start, self._data = cutter, start, data
        first = (
            0
            if start == 0
            else min(
                (at for at in (data.find(b"\n"), data.find(b"\r")) if at >= 0), default=len(data)
            )
            + 1
        )
        length = len(cutter._quote)
        runs = (
            found.span(1) for found in cutter._runs.finditer(data, first) if found[1] is not None
        )
        self._odd = [run for run in runs if (run[1] - run[0]) // length % 2]
        self._first = first

    def sure_line(self, line: int) -> int | None:
        """The last line at or before this one that surely begins a record; None where none in
        the window does.
        """
        at = line - self._start
        while at >= self._first:
            if self._is_sure(at):
                return self._start + at
            at = self._line_before(at)
        return 0 if self._start == 0 else None

    def _line_before(self, at: int) -> int:
        """Where the line before the one that begins at `at` begins; -1 where that is not known."""
        end = at - 2 if self._data[at - 2 : at] == b"\r\n" else at - 1
        found = max(
            self._data.rfind(b"\n", 0, max(end, 0)), self._data.rfind(b"\r", 0, max(end, 0))
        )
        return found + 1 if found >= 0 else 0 if self._start == 0 and at > 0 else -1

    def _is_sure(self, at: int) -> bool:
        """Whether no quoted field can go on there. Only where the window reaches far enough on
        both sides.
        """
        is_start = self._start == 0
        if at == 0 and is_start:
            return True
        number = bisect_left(self._odd, (at, 0))
        before, after = (
            self._odd[number - 1] if number else None,
            self._odd[number] if number < len(self._odd) else None,
        )
        if before is None or before[0] < at - LONGEST_QUOTED:
            if is_start or at - self._first >= LONGEST_QUOTED:
                return True
        elif not self._cutter.may_open(self._data, before[0]):
            return True
        if after is None or after[1] > at + LONGEST_QUOTED:
            return True
        return not self._cutter.may_close(self._data, after[1])
