"""Blocks of lines cut into records and fields, all at once by NumPy; only records that need it go
to the automaton.

A line without a quote that opens a field is cut at every separator. Where quotes open, close and
double as they should, the number of quotes before a separator says whether it is inside. Everything
else is the automaton's.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from emberline.records.automaton import UNBALANCED, WRONG_NUMBER, Automaton
from emberline.records.dialect import Dialect

Positions = npt.NDArray[np.int64]
Places = tuple[Positions, Positions]
Mask = npt.NDArray[np.bool_]
BOM = b"\xef\xbb\xbf"
_LOOK = 64  # blanks before a quote that are looked past at once
_NO_POSITIONS: Positions = np.empty(0, np.int64)


@dataclass
class Lines:
    """`data` with the places where its lines begin and end, without their line ends and byte
    order marks.
    """

    data: bytes
    starts: Positions
    ends: Positions

    @cached_property
    def bytes(self) -> npt.NDArray[np.uint8]:
        return np.frombuffer(self.data, np.uint8)

    def of(self, positions: Positions) -> Positions:
        """The number of the line that each position is in."""
        return np.searchsorted(self.starts, positions, "right") - 1

    def having(self, positions: Positions) -> Mask:
        """Which lines have one of the positions."""
        mask = np.zeros(len(self.starts), bool)
        mask[self.of(positions)] = True
        return mask


@dataclass
class Records:
    """Records of a block: their places in `data`, the places of `width` fields where `is_cut`, and
    what is wrong with the others.

    `cut` are the fields that the automaton cut, by the record's number; `is_quoted` says for which
    records quotes quote.
    """

    data: bytes
    starts: Positions
    ends: Positions
    is_cut: Mask
    problems: dict[str, Positions]
    separators: Places  # where each of those outside of quotes begins and ends
    first: Positions  # the number of the first separator in each record
    inner: Places  # where each record's first field begins, and its last one ends
    is_quoted: Mask
    cut: dict[int, list[bytes]] = field(default_factory=dict)

    def place(self, position: int, width: int) -> Places:
        """Where the field at `position` begins and ends, in each record; at the record's
        beginning twice where it is not cut.
        """
        low, high = (self.inner[0].copy(), self.inner[1].copy())
        if position > 0:
            low[self.is_cut] = self.separators[1][self.first[self.is_cut] + position - 1]
        if position < width - 1:
            high[self.is_cut] = self.separators[0][self.first[self.is_cut] + position]
        low[~self.is_cut] = high[~self.is_cut] = self.starts[~self.is_cut]
        return low, high


def split_lines(data: bytes) -> Lines:
    """Where lines begin and end: at a line feed, a carriage return, or both."""
    view = np.frombuffer(data, np.uint8)
    stops = np.flatnonzero(view == 10)
    ends = stops
    if b"\r" in data:
        returns = np.flatnonzero(view == 13)
        follows = view[np.minimum(returns + 1, len(view) - 1)]
        alone = returns[(follows != 10) | (returns == len(view) - 1)]
        ends = stops - ((stops > 0) & (view[np.maximum(stops - 1, 0)] == 13))
        stops, ends = np.concatenate([stops, alone]), np.concatenate([ends, alone])
        if len(alone):
            order = np.argsort(stops, kind="stable")
            stops, ends = stops[order], ends[order]
    starts = np.concatenate([[0], stops + 1])
    if starts[-1] == len(data):
        starts = starts[:-1]
    else:
        ends = np.concatenate([ends, [len(data)]])
    return _without_marks(Lines(data, starts, ends))


def _without_marks(lines: Lines) -> Lines:
    """Byte order marks at the beginning of lines are no text: files that begin with one may
    have been joined.
    """
    if BOM in lines.data:
        padded = np.concatenate([lines.bytes, np.zeros(3, np.uint8)])
        marked = np.all([padded[lines.starts + i] == byte for i, byte in enumerate(BOM)], axis=0)
        lines.starts = lines.starts + 3 * (marked & (lines.ends - lines.starts >= 3))
    return lines


class Splitter:
    """Cuts blocks of one dialect into records of `width` fields."""

    def __init__(self, dialect: Dialect, width: int) -> None:
        self._dialect, self._width = dialect, width
        self._automaton = Automaton(dialect, width)
        self._quote, self._comment = dialect.quote.encode(), dialect.comment.encode()
        self._separator = b"" if dialect.is_whitespace else dialect.separator.encode()
        self._is_blank = np.zeros(256, bool)
        self._is_blank[list(dialect.blanks)] = True

    def split(self, data: bytes, is_last: bool) -> tuple[Records, int]:
        """The records of whole lines, and where the first one begins that needs bytes that do
        not follow yet (or the end).
        """
        lines = split_lines(data)
        inner = lines.starts, lines.ends
        low, high = self._separators(lines)
        if self._dialect.is_whitespace:
            inner, low, high = _without_edges(lines, low, high)
        is_comment = self._comments(lines)
        quotes, slow, is_quoted = self._judge_quotes(lines, inner, (low, high), ~is_comment)
        if len(quotes):
            outside = np.searchsorted(quotes, low) % 2 == 0
            low, high = low[outside], high[outside]
        first = np.searchsorted(low, lines.starts)
        counts = np.searchsorted(low, lines.ends) - first
        is_cut = (counts == self._width - 1) & ~slow
        records = Records(
            data, lines.starts, lines.ends.copy(), is_cut, {}, (low, high), first, inner, is_quoted
        )
        skipped, end = self._cut_slow(records, lines, np.flatnonzero(slow), is_last)
        wrong = ~is_cut & ~slow
        records.problems[WRONG_NUMBER] = np.union1d(
            records.problems[WRONG_NUMBER], np.flatnonzero(wrong)
        )
        is_blank = inner[0] >= inner[1] if self._dialect.is_whitespace else _blank(lines)
        return _kept(records, ~(skipped | is_comment | is_blank)), end

    def _separators(self, lines: Lines) -> Places:
        """Where separators begin and end, inside quotes, too."""
        view = lines.bytes
        if self._dialect.is_whitespace:
            edges = np.diff(
                np.concatenate([[False], (view == 32) | (view == 9), [False]]).astype(np.int8)
            )
            return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        found = np.flatnonzero(view == self._separator[0])
        for i, byte in enumerate(self._separator[1:], start=1):
            found = found[found + i < len(view)]
            found = found[view[found + i] == byte]
        found = _apart(found, len(self._separator))
        return found, found + len(self._separator)

    def _comments(self, lines: Lines) -> Mask:
        mask = np.zeros(len(lines.starts), bool)
        if self._comment and self._comment in lines.data:
            may = np.flatnonzero(
                lines.bytes[np.minimum(lines.starts, len(lines.data) - 1)] == self._comment[0]
            )
            for number in may:
                mask[number] = lines.data.startswith(
                    self._comment, int(lines.starts[number]), int(lines.ends[number])
                )
        return mask

    def _judge_quotes(
        self, lines: Lines, inner: Places, separators: Places, is_data: Mask
    ) -> tuple[Positions, Mask, Mask]:
        """The quotes of lines in which they quote as they should, which lines need the
        automaton, and which lines those are.
        """
        slow = np.zeros(len(lines.starts), bool)
        escape = self._dialect.escape.encode()
        if escape and escape in lines.data:
            slow = lines.having(np.flatnonzero(lines.bytes == escape[0])) & is_data
        if not self._quote or self._quote not in lines.data:
            return _NO_POSITIONS, slow, np.zeros(len(lines.starts), bool)
        quotes = np.flatnonzero(lines.bytes == self._quote[0])
        if len(self._quote) > 1:
            return (
                _NO_POSITIONS,
                slow | lines.having(quotes) & is_data,
                np.zeros(len(lines.starts), bool),
            )
        opens, closes, far = self._open_and_close(lines, quotes, inner, separators)
        number = lines.of(quotes)
        quoting = np.zeros(len(lines.starts), bool)
        quoting[number[opens | far]] = True
        quoting &= is_data
        fine = quoting & ~slow & ~_misplaced(quotes, number, opens, closes, len(quoting))
        fine[number[far]] = False
        return quotes[fine[number]], slow | quoting & ~fine, fine

    def _open_and_close(
        self, lines: Lines, quotes: Positions, inner: Places, separators: Places
    ) -> tuple[Mask, Mask, Mask]:
        """Which quotes may open a field, which may close one, and which have more blanks beside
        them than are looked past.
        """
        after = np.zeros(len(lines.data) + 2, bool)
        after[separators[1]] = after[inner[0]] = True
        before = np.zeros(len(lines.data) + 2, bool)
        before[separators[0]] = before[inner[1]] = True
        view = np.concatenate([[0], lines.bytes, [0]]).astype(np.uint8)
        at, to = quotes.copy(), quotes + 1
        for _ in range(_LOOK):
            left, right = (
                self._is_blank[view[at]] & ~after[at],
                self._is_blank[view[to + 1]] & ~before[to],
            )
            if not (left.any() or right.any()):
                break
            at, to = at - left, to + right
        far = (self._is_blank[view[at]] & ~after[at]) | (self._is_blank[view[to + 1]] & ~before[to])
        return after[at], before[to], far

    def _cut_slow(
        self, records: Records, lines: Lines, slow: Positions, is_last: bool
    ) -> tuple[Mask, int]:
        """Cut those lines, one after the other; which lines are no records, but belong to one
        before, or come later.
        """
        skipped = np.zeros(len(lines.starts), bool)
        found: dict[str, list[int]] = {UNBALANCED: [], WRONG_NUMBER: []}
        end, behind = len(lines.data), 0
        for number in slow.tolist():
            if number < behind:
                continue
            cut = self._automaton.cut(
                lines.data, int(lines.starts[number]), int(lines.ends[number]), is_last
            )
            if cut.problem == "":
                skipped[number:] = True
                end = int(lines.starts[number])
                break
            records.ends[number] = cut.end
            behind = (
                int(np.searchsorted(lines.starts, cut.end, "right"))
                if cut.end > lines.ends[number]
                else number + 1
            )
            skipped[number + 1 : behind] = True
            if cut.problem:
                found[cut.problem].append(number)
            else:
                records.cut[number] = cut.fields
        records.problems |= {
            problem: np.array(numbers, np.int64) for problem, numbers in found.items()
        }
        return skipped, end


def _apart(found: Positions, length: int) -> Positions:
    """Of separators of several bytes those that do not overlap with one before."""
    if length == 1 or not len(found) or (np.diff(found) >= length).all():
        return found
    kept, free = [], 0
    for position in found.tolist():
        if position >= free:
            kept.append(position)
            free = position + length
    return np.array(kept, np.int64)


def _without_edges(
    lines: Lines, low: Positions, high: Positions
) -> tuple[Places, Positions, Positions]:
    """Blanks at the edges of lines separate nothing: where fields begin and end in each line,
    and the other separators.
    """
    at_start, at_end = np.isin(low, lines.starts), np.isin(high, lines.ends)
    starts, ends = lines.starts.copy(), lines.ends.copy()
    starts[np.isin(lines.starts, low[at_start])] = high[at_start]
    ends[np.isin(lines.ends, high[at_end])] = low[at_end]
    inside = ~(at_start | at_end)
    return (starts, np.maximum(starts, ends)), low[inside], high[inside]


def _misplaced(quotes: Positions, number: Positions, opens: Mask, closes: Mask, lines: int) -> Mask:
    """The lines whose quotes do not open, close and double in turn."""
    first = np.concatenate([[True], number[1:] != number[:-1]])
    place = np.arange(len(quotes)) - np.maximum.accumulate(
        np.where(first, np.arange(len(quotes)), 0)
    )
    # the next one, which is in the same line then
    touches = np.concatenate([quotes[1:] == quotes[:-1] + 1, [False]])
    follows = np.concatenate([[False], touches[:-1]])
    is_fine = np.where(place % 2 == 0, opens | follows & (place > 0), closes | touches)
    wrong: Mask = np.zeros(lines, bool)
    wrong[number[~is_fine]] = True
    counts = np.bincount(number, minlength=lines)
    odd: Mask = counts % 2 == 1
    return wrong | odd


def _blank(lines: Lines) -> Mask:
    """Lines of nothing, or of blanks."""
    lengths = lines.ends - lines.starts
    blank: Mask = lengths == 0
    may = np.flatnonzero(
        ~blank & (lines.bytes[np.minimum(lines.starts, max(len(lines.data) - 1, 0))] == 32)
    )
    for number in may.tolist():
        blank[number] = not lines.data[lines.starts[number] : lines.ends[number]].strip(b" ")
    return blank


def _kept(records: Records, kept: Mask) -> Records:
    """Those records only."""
    new = np.cumsum(kept) - 1
    records.problems = {problem: new[at[kept[at]]] for problem, at in records.problems.items()}
    records.cut = {
        int(new[number]): fields for number, fields in records.cut.items() if kept[number]
    }
    if not kept.all():
        for name in ("starts", "ends", "is_cut", "first", "is_quoted"):
            setattr(records, name, getattr(records, name)[kept])
        records.inner = records.inner[0][kept], records.inner[1][kept]
    return records
