"""A raw Parquet file: what its footer says, and the rows of a piece of it, each page compared with
its checksum where it has one, and the rows counted against the footer.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from emberline.errors import DataError
from emberline.records.parquet_columns import Column

BATCH_ROWS = 16_384


@dataclass(frozen=True)
class Layout:
    """What a file's footer says: its columns, and the rows and uncompressed bytes of each row
    group.
    """

    names: tuple[str, ...]
    group_rows: tuple[int, ...]
    group_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Some rows of a row group: from `start` to before `end` of its `rows`."""

    group: int
    rows: int
    start: int
    end: int


# A Piece of a file; its row group begins with the file's row `first_row`, and has so many bytes.
TASKS = pa.schema(
    [
        ("uri", pa.string()),
        ("source_file", pa.string()),
        ("group", pa.int32()),
        ("rows", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("first_row", pa.int64()),
        ("bytes", pa.int64()),
    ]
)


def layout_of(opened: pq.ParquetFile, name: str) -> Layout:
    with explained(name):
        # What a group says of its columns is not asked for: in a damaged or encrypted footer that
        # aborts the process.
        groups = [opened.metadata.row_group(number) for number in range(opened.num_row_groups)]
        rows = tuple(group.num_rows for group in groups)
        return Layout(
            tuple(opened.schema_arrow.names),
            rows,
            tuple(max(group.total_byte_size, 0) for group in groups),
        )


def piece_of(task: Mapping[str, Any]) -> Piece:
    """What one of the TASKS reads."""
    return Piece(task["group"], task["rows"], task["start"], task["end"])


def open_whole(file: Any, name: str) -> pq.ParquetFile:
    """Raises DataError for what is not a whole Parquet file, or is one that cannot be read."""
    with explained(name, "is not a whole Parquet file"):
        return pq.ParquetFile(file, page_checksum_verification=True)


@contextmanager
def explained(name: str, what: str = "cannot be read") -> Iterator[None]:
    """Raises DataError where the file gives way."""
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        NotImplementedError,
        MemoryError,
        pa.ArrowException,
    ) as error:
        why = " ".join(str(error).split())
        if "ncrypt" in why or "ecrypt" in why:
            raise DataError(
                f"{name} is encrypted, for which there is no key here; decrypt it first"
            ) from None
        if "codec" in why.lower() and "support" in why.lower():
            raise DataError(
                f"{name} is compressed in a way that is not read here ({why}); write it with zstd"
            ) from None
        raise DataError(f"{name} {what}: {why}") from None


def rows_of(
    opened: pq.ParquetFile, name: str, piece: Piece, found: Mapping[str, Column], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a piece, each of which is there. To reach them, those before are read, too."""
    at = 0
    for batch in _batches(opened, name, piece.group, found, batch_rows):
        inside = batch.slice(max(piece.start - at, 0), max(piece.end - max(piece.start, at), 0))
        at += batch.num_rows
        if inside.num_rows:
            yield inside
        if at >= piece.end < piece.rows:
            return
    if at != piece.rows:
        raise DataError(
            f"{name} cannot be read: its row group {piece.group} holds {at:,} rows where its footer"
            f" says {piece.rows:,}; it is damaged, or was changed while it was read"
        )


def _batches(
    opened: pq.ParquetFile, name: str, group: int, found: Mapping[str, Column], rows: int
) -> Iterator[pa.RecordBatch]:
    names = list(dict.fromkeys(".".join(column.path) for column in found.values()))
    with explained(name):
        if group >= opened.num_row_groups:
            raise OSError(f"its row group {group} is gone, it was changed while it was read")
        yield from opened.iter_batches(rows, [group], names, use_threads=False)
