"""Rows of raw Parquet files as batches of records: raw text, what is wrong with a row, and the
wanted values as text.

Only the wanted columns are read, page by page, each compared with its checksum where it has one,
and the rows are counted against the footer. A name that no column has reaches into structs by dots:
`image.bytes`. One value has one text, whatever its type in this file or that: 17850, 17850.0 and
decimal 17850.00 are "17850", and NaN is nothing.
"""

from collections.abc import Callable, Collection, Iterator
from typing import Any

import pyarrow as pa

from emberline.records.arrow_rows import records_of
from emberline.records.heads import Wanted
from emberline.records.parquet_columns import check_type, find_columns, names_of
from emberline.records.parquet_file import (
    BATCH_ROWS,
    Layout,
    Piece,
    explained,
    layout_of,
    open_whole,
    piece_of,
    rows_of,
)


def layout(
    file: Any,
    name: str,
    wanted: Wanted,
    lists: Collection[str] = (),
) -> Layout:
    """What the footer of a file says.

    Raises DataError for a file that is not whole, SchemaError for a wanted column that is missing,
    there twice, or of a type that is no text; the columns `lists` may be lists.
    """
    opened = open_whole(file, name)
    with explained(name):
        found = find_columns(opened, name, names_of(wanted))
    for new, column in found.items():
        check_type(column, name, new in lists)
    return layout_of(opened, name)


def read(
    file: Any,
    name: str,
    wanted: Wanted,
    piece: Piece,
    lists: Collection[str] = (),
    moments: Collection[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and one of text per key of `wanted`.

    Moments in the columns `moments` are microseconds behind a MOMENT, elsewhere as people write
    them. Raises DataError where a row is missing or cannot be read.
    """
    opened = open_whole(file, name)
    found = find_columns(opened, name, names_of(wanted))
    for batch in rows_of(opened, name, piece, found, BATCH_ROWS):
        yield records_of(batch, found, lists, moments)


def read_tasks(
    batches: Iterator[pa.RecordBatch],
    wanted: Wanted,
    lists: Collection[str],
    moments: Collection[str],
    opened: Callable[[str], Any],
) -> Iterator[pa.RecordBatch]:
    """TASKS to columns source_file, and those of `read`. `opened` opens a URI."""
    for batch in batches:
        for task in batch.to_pylist():
            with opened(task["uri"]) as file:
                for rows in read(file, task["uri"], wanted, piece_of(task), lists, moments):
                    source_file = pa.repeat(
                        pa.scalar(task["source_file"], pa.string()), rows.num_rows
                    )
                    yield pa.record_batch(
                        [source_file, *rows.columns], ["source_file", *rows.schema.names]
                    )


def head(
    file: Any,
    name: str,
    wanted: Wanted,
    lists: Collection[str] = (),
    moments: Collection[str] = (),
    rows: int = 1000,
) -> tuple[Layout, pa.RecordBatch]:
    """What a file's footer says, and its first records as `read` has them. Raises as `layout`
    and `read`.
    """
    known, opened = layout(file, name, wanted, lists), open_whole(file, name)
    found = find_columns(opened, name, names_of(wanted))
    pieces = (
        Piece(number, count, 0, min(rows, count))
        for number, count in enumerate(known.group_rows)
        if count
    )
    first = next(
        (batch for piece in pieces for batch in rows_of(opened, name, piece, found, rows)), None
    )
    if first is None:
        empty = pa.schema([(key, pa.string()) for key in ("raw", "problem", *found)])
        return known, pa.RecordBatch.from_pylist([], empty)
    return known, records_of(first, found, lists, moments)
