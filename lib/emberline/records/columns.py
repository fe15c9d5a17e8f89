"""Columns of text made of places in one buffer, without a loop over rows."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.records.splitting import Mask, Places, Positions, Records


def texts(data: bytes, places: Places, is_null: Mask | None = None) -> pa.Array:
    """The texts between places that go upward and do not overlap. The data are UTF-8."""
    low, high = places
    if not len(low):
        return pa.array([], pa.string())
    offsets = np.empty(2 * len(low), np.int32)
    # a text, what is between it and the next one, and so on
    offsets[0::2], offsets[1::2] = low, high
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    pieces = pa.Array.from_buffers(pa.string(), len(offsets) - 1, buffers)
    return pieces.take(pa.array(np.arange(0, 2 * len(low), 2, dtype=np.int32), mask=is_null))


def field(records: Records, position: int, width: int, quote: bytes, blanks: bytes) -> pa.Array:
    """The field at a position in each record, null where it is empty, or the record is not cut."""
    low, high = records.place(position, width)
    is_quoted = np.zeros(len(low), bool)
    if records.is_quoted.any():
        low, high, is_quoted = _unquoted(records, (low, high), quote, blanks)
    found = texts(records.data, (low, high), high <= low)
    if is_quoted.any() and quote * 2 in records.data:
        single = pc.replace_substring(found, (quote * 2).decode(), quote.decode())
        found = pc.if_else(pa.array(is_quoted), single, found)
    return _with_cut(found, records, position) if records.cut else found


def _unquoted(
    records: Records, places: Places, quote: bytes, blanks: bytes
) -> tuple[Positions, Positions, Mask]:
    """The places of what quotes enclose, where they do, and where that is."""
    low, high = (edge.copy() for edge in places)
    view = np.frombuffer(records.data, np.uint8)
    is_blank = np.zeros(256, bool)
    is_blank[list(blanks)] = True
    last = len(view) - 1
    rows = np.flatnonzero(records.is_quoted & records.is_cut & (low < high))
    opens, closes = low[rows], high[rows]
    while (more := (opens < closes) & is_blank[view[np.minimum(opens, last)]]).any():
        opens = opens + more
    while (more := (opens < closes) & is_blank[view[closes - 1]]).any():
        closes = closes - more
    does = (closes - opens >= 2) & (view[np.minimum(opens, last)] == quote[0])
    rows, opens, closes = rows[does], opens[does], closes[does]
    low[rows], high[rows] = opens + 1, closes - 1
    is_quoted = np.zeros(len(low), bool)
    is_quoted[rows] = True
    return low, high, is_quoted


def _with_cut(found: pa.Array, records: Records, position: int) -> pa.Array:
    """The same column with the fields that the automaton cut."""
    values = [fields[position].decode() or None for fields in records.cut.values()]
    order = np.arange(len(found))
    order[list(records.cut)] = len(found) + np.arange(len(values))
    return pa.concat_arrays([found, pa.array(values, pa.string())]).take(pa.array(order))


def labels(rows: int, found: Sequence[tuple[str, Positions]]) -> pa.Array:
    """For each row the first of the labels whose rows it is among; null for the others."""
    number = np.full(rows, -1, np.int32)
    for i, (_, positions) in reversed(list(enumerate(found))):
        number[positions] = i
    names = pa.array([label for label, _ in found], pa.string())
    return names.take(pa.array(number, mask=number < 0))
