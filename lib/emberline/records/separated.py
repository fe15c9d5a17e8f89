"""Separated values as batches of records: raw text, what is wrong with it, and the wanted
fields as text.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.records import columns, decoding
from emberline.records.automaton import UNBALANCED, WRONG_NUMBER
from emberline.records.decoding import BAD, REPLACEMENT, Block
from emberline.records.heads import Layout
from emberline.records.splitting import Lines, Positions, Records, Splitter

TOO_LONG = f"longer than {decoding.LONGEST >> 20} MiB"
NUL = "holds a NUL character (a zero byte)"


def batches(
    blocks: Iterator[Block], layout: Layout, positions: Mapping[str, int]
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and, as text, the fields at `positions`. Every line is in one
    record, but those that are no data.
    """
    splitter = Splitter(layout.dialect, layout.width)
    carry = b""
    for block in blocks:
        if block.is_long:
            yield from _whole(splitter, carry, layout, positions)
            yield too_long(block.data, list(positions))
            carry = b""
            continue
        data = carry + block.data
        records, end = splitter.split(data, is_last=False)
        carry = data[end:]
        yield _batch(records, layout, positions)
    yield from _whole(splitter, carry, layout, positions)


def _whole(
    splitter: Splitter, data: bytes, layout: Layout, positions: Mapping[str, int]
) -> Iterator[pa.RecordBatch]:
    """What is left when nothing follows."""
    if data:
        yield _batch(splitter.split(data, is_last=True)[0], layout, positions)


def too_long(text: bytes, names: list[str]) -> pa.RecordBatch:
    """The row of a line that is not read because of its length."""
    raw = text.decode(errors="replace") + "..."
    nulls = [pa.nulls(1, pa.string())] * len(names)
    return pa.record_batch(
        [pa.array([raw]), pa.array([TOO_LONG]), *nulls], ["raw", "problem", *names]
    )


def _batch(records: Records, layout: Layout, positions: Mapping[str, int]) -> pa.RecordBatch:
    problems = [
        (f"not valid {layout.dialect.encoding}", holding(records, BAD)),
        (NUL, holding(records, b"\0")),
        *((label, records.problems[label]) for label in (UNBALANCED, WRONG_NUMBER)),
    ]
    records.data = records.data.replace(BAD, REPLACEMENT)
    records.cut = {
        n: [f.replace(BAD, REPLACEMENT) for f in fields] for n, fields in records.cut.items()
    }
    raw = columns.texts(records.data, (records.starts, records.ends))
    quote, blanks = layout.dialect.quote.encode(), layout.dialect.blanks
    fields = [
        columns.field(records, position, layout.width, quote, blanks)
        for position in positions.values()
    ]
    arrays = [raw, columns.labels(len(raw), problems), *fields]
    batch = pa.record_batch(arrays, ["raw", "problem", *positions])
    dropped = pc.is_in(raw, pa.array(layout.dropped, pa.string())) if layout.dropped else None
    return (
        batch.filter(pc.invert(dropped))
        if dropped is not None and pc.any(dropped).as_py()
        else batch
    )


def holding(records: Records | Lines, text: bytes) -> Positions:
    """The records that hold a text; looked for one after the other, since it is rare."""
    found, at = [], records.data.find(text)
    while at >= 0:
        number = int(np.searchsorted(records.starts, at, "right")) - 1
        if number >= 0 and at < records.ends[number]:
            found.append(number)
        behind = (
            int(records.starts[number + 1])
            if number + 1 < len(records.starts)
            else len(records.data)
        )
        at = records.data.find(text, behind)
    return np.array(found, np.int64)
