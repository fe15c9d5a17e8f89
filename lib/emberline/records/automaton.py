"""One record of separated values cut byte by byte: what the quick way, many at once, leaves
over.
"""

import re
from typing import NamedTuple

from emberline.records.dialect import Dialect

LONGEST_QUOTED = 1 << 20  # bytes of a quoted field that goes on beyond its line
UNBALANCED = "unbalanced quotes"
WRONG_NUMBER = "wrong number of fields"


class Cut(NamedTuple):
    """A record's end, without its line end, and its fields, or what is wrong with it; `problem`
    "" asks for more bytes.
    """

    end: int
    fields: list[bytes]
    problem: str | None = None


class _Unbalanced(Exception):
    pass


class _Incomplete(Exception):
    pass


class Automaton:
    """Cuts records of one dialect into `width` fields (None: any number).

    A quote opens at the beginning of a field only, blanks before it allowed; it closes before a
    separator or a line end. A quoted field may go on over lines; a record of several lines that has
    not `width` fields is none: its first line alone is unbalanced.
    """

    def __init__(self, dialect: Dialect, width: int | None) -> None:
        quote, escape = re.escape(dialect.quote.encode()), re.escape(dialect.escape.encode())
        separator = rb"[ \t]+" if dialect.is_whitespace else re.escape(dialect.separator.encode())
        self._width, self._quote = width, dialect.quote.encode()
        self._is_whitespace = dialect.is_whitespace
        blanks = b" \t" if dialect.is_whitespace else dialect.blanks
        self._blanks = re.compile(rb"[" + blanks + rb"]*+" if blanks else rb"")
        self._separator, self._line_end = re.compile(separator), re.compile(rb"[\r\n]")
        self._text = re.compile(_text(separator, escape))
        special = rb"(" + rb"|".join(filter(None, (quote, escape, separator, rb"[\r\n]"))) + rb")"
        self._escaped = re.compile(escape + special) if escape else None
        if quote:
            self._quoted = re.compile(_quoted(quote, escape), re.DOTALL)
            self._closing = re.compile(
                _or(escape and escape + rb".", rb"(" + quote + rb")"), re.DOTALL
            )
            self._doubled = re.compile(
                _or(quote + rb"(" + quote + rb")", escape and escape + special)
            )

    def cut(self, data: bytes, start: int, stop: int, is_last: bool) -> Cut:
        """The record that begins at `start`, whose first line ends at `stop`; `is_last`:
        nothing follows the data.
        """
        try:
            fields, end = self._fields(data, start, stop, is_last)
        except _Unbalanced:
            return Cut(stop, [], UNBALANCED)
        except _Incomplete:
            return Cut(stop, [], "")
        if self._width is None or len(fields) == self._width:
            return Cut(end, fields)
        return Cut(stop, [], WRONG_NUMBER if end == stop else UNBALANCED)

    def _fields(self, data: bytes, at: int, stop: int, is_last: bool) -> tuple[list[bytes], int]:
        fields: list[bytes] = []
        first = stop
        if self._is_whitespace:
            at = self._blanks.match(data, at, stop).end()  # type: ignore[union-attr]
        while True:
            field, at, stop = self._field(data, at, stop, is_last)
            fields.append(field)
            found = self._separator.match(data, at, stop)
            if found is None or (self._is_whitespace and found.end() == stop):
                return fields, stop
            if stop != first and len(fields) == self._width:
                raise _Unbalanced
            at = found.end()

    def _field(self, data: bytes, at: int, stop: int, is_last: bool) -> tuple[bytes, int, int]:
        """One field, where it ends, and where the line ends in which it does."""
        opens = self._blanks.match(data, at, stop).end()  # type: ignore[union-attr]
        if self._quote and opens < stop and data.startswith(self._quote, opens):
            return self._quoted_field(data, at, opens, stop, is_last)
        end = self._text.match(data, at, stop).end()  # type: ignore[union-attr]
        return self._plain(data[at:end]), end, stop

    def _quoted_field(
        self, data: bytes, at: int, opens: int, stop: int, is_last: bool
    ) -> tuple[bytes, int, int]:
        limit = max(stop, opens + LONGEST_QUOTED)
        found = self._quoted.match(data, opens, min(limit, len(data)))
        if found is None:
            raise _Incomplete if limit > len(data) and not is_last else _Unbalanced
        line = stop if found.end() <= stop else self._end_of_line(data, found.end())
        end = self._blanks.match(data, found.end(), line).end()  # type: ignore[union-attr]
        if end == line or self._separator.match(data, end, line):
            return self._doubled.sub(_inner, found[1]), end, line
        if line != stop or found.end() > stop:
            raise _Unbalanced
        return self._text_with_quotes(data, at, stop)

    def _text_with_quotes(self, data: bytes, at: int, stop: int) -> tuple[bytes, int, int]:
        """`"Weird Al" Yankovic` is no quoted field: it is text as it stands, if its quotes come
        in pairs.
        """
        end = self._text.match(data, at, stop).end()  # type: ignore[union-attr]
        if sum(found[1] is not None for found in self._closing.finditer(data, at, end)) % 2:
            raise _Unbalanced
        return self._plain(data[at:end]), end, stop

    def _plain(self, field: bytes) -> bytes:
        return field if self._escaped is None else self._escaped.sub(_inner, field)

    def _end_of_line(self, data: bytes, at: int) -> int:
        found = self._line_end.search(data, at)
        return found.start() if found else len(data)


def _or(*patterns: bytes) -> bytes:
    return b"|".join(filter(None, patterns))


def _text(separator: bytes, escape: bytes) -> bytes:
    """What an unquoted field is made of."""
    if len(separator) == 1 and not escape:
        return rb"[^\r\n" + separator + rb"]*+"
    byte = _or(rb"[^\r\n" + escape + rb"]", escape and escape + rb".?")
    return rb"(?:(?!" + separator + rb")(?:" + byte + rb"))*+"


def _quoted(quote: bytes, escape: bytes) -> bytes:
    """A quoted field, its text as the group."""
    byte = (
        rb"(?!" + _or(quote, escape) + rb")."
        if quote[-1] > 127
        else rb"[^" + quote + escape + rb"]++"
    )
    text = _or(byte, quote * 2, escape and escape + rb".")
    return quote + rb"((?:" + text + rb")*+)" + quote


def _inner(found: re.Match[bytes]) -> bytes:
    return next(group for group in found.groups() if group is not None)
