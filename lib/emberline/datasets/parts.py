"""Write the parts of a dataset where they will stay, hashed on the way.

`write_parts` runs on executors, one call per partition. A task that fails or is repeated leaves a
file that no manifest names; only what the successful task returns is committed.
"""

import hashlib
import io
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.datasets import storage
from emberline.datasets.footers import read_footer
from emberline.datasets.manifest import Part
from emberline.datasets.rows import Task
from emberline.datasets.storage import Location

PARTITION = "_partition"
WRITTEN_PARTS = pa.schema(
    [
        (PARTITION, pa.int32()),
        ("path", pa.string()),
        ("rows", pa.int64()),
        ("row_groups", pa.int32()),
        ("bytes", pa.int64()),
        ("sha256", pa.string()),
        ("footer", pa.string()),
    ]
)
# below 0, nothing is entropy-coded: pictures are read a quarter faster, and take 1 % more
_ZSTD_LEVEL_OF_PIXELS = -1
_FLOATS_LOOKED_AT = 65_536
_ROW_GROUP_ROWS = 131_072
_ROW_GROUP_BYTES = 64 << 20


class _HashingFile(io.RawIOBase):
    """A new file that knows the sha256 and the number of the bytes written to it."""

    def __init__(self, path: Location) -> None:
        super().__init__()
        self._file = storage.create(path)
        self._hash = hashlib.sha256()
        self.bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        size: int = self._file.write(data)
        self._hash.update(data)
        self.bytes += size
        return size

    def tell(self) -> int:
        return self.bytes

    def close(self) -> None:
        if not self.closed:
            storage.sync_file(self._file)
            self._file.close()
        super().close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def write_parts(
    batches: Iterator[pa.RecordBatch],
    folder: str,
    schema: pa.Schema,
    group_rows: int | None = None,
    through: Task = iter,
) -> Iterator[pa.RecordBatch]:
    """Write what a task makes of one partition's batches as one Parquet part; yields its row of
    WRITTEN_PARTS, or nothing for an empty partition. PARTITION holds the partition's number, and is
    not the task's to see.
    """
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return
    partition = first[PARTITION][0].as_py()
    rows = (batch.drop_columns([PARTITION]) for batch in chain([first], filled))
    stem = f"part-{partition:05d}"
    part = write_rows(through(rows), storage.locate(folder), stem, schema, group_rows)
    if part is not None:
        row = {PARTITION: partition, "path": part.path, "rows": part.rows}
        row |= {
            "row_groups": part.row_groups,
            "bytes": part.bytes,
            "sha256": part.sha256,
            "footer": part.footer,
        }
        yield pa.RecordBatch.from_pylist([row], schema=WRITTEN_PARTS)


def write_rows(
    batches: Iterator[pa.RecordBatch],
    folder: Location,
    stem: str,
    schema: pa.Schema,
    group_rows: int | None = None,
) -> Part | None:
    """Write batches, which have the schema's columns, as one Parquet part; None where they have no
    row.
    """
    filled = (batch for batch in batches if batch.num_rows)
    first = next(filled, None)
    if first is None:
        return None
    return write_part(_tables(chain([first], filled), schema), folder, stem, schema, group_rows)


def _tables(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.Table]:
    for batch in batches:
        yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)


def write_part(
    tables: Iterable[pa.Table],
    folder: Location,
    stem: str,
    schema: pa.Schema,
    group_rows: int | None = None,
) -> Part:
    """Write tables as one Parquet file `<stem>-<random>.parquet`; the part's path is relative to
    the folder's parent.

    With `group_rows`, every row group but the last has exactly so many rows.
    """
    storage.make_folder(folder)
    path = folder / f"{stem}-{uuid.uuid4().hex[:8]}.parquet"
    rows = row_groups = 0
    groups = _row_groups(tables) if group_rows is None else _equal_row_groups(tables, group_rows)
    first = next(groups, schema.empty_table())
    with (
        _HashingFile(path) as file,
        pq.ParquetWriter(file, schema, write_page_checksum=True, **encoding(first)) as writer,
    ):
        groups = chain([first] if first.num_rows else [], groups)
        del first  # as large as a row group may be
        for group in groups:
            writer.write_table(group, row_group_size=group.num_rows)
            rows += group.num_rows
            row_groups += 1
    footer = hashlib.sha256(read_footer(path)).hexdigest()
    return Part(
        f"{folder.name}/{path.name}", rows, row_groups, file.bytes, file.hexdigest(), footer
    )


def encoding(table: pa.Table) -> dict[str, Any]:
    """How the columns of a Parquet file are written that begins with these rows: pixels repeat
    nothing, and their least and greatest are of no use to anybody; nor do most floats, of which a
    dictionary makes half as much again.
    """
    binary = [field.name for field in table.schema if pa.types.is_binary(field.type)]
    others = {
        f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name: field.name
        for field in table.schema
        if field.name not in binary
    }
    # BYTE_STREAM_SPLIT would be a tenth smaller still; Spark reads it from 4.3 on (SPARK-56894)
    return {
        "compression": "zstd",
        "compression_level": dict.fromkeys(binary, _ZSTD_LEVEL_OF_PIXELS),
        "use_dictionary": [path for path, name in others.items() if _repeats(table[name])],
        "write_statistics": [*others],
    }


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether values are worth a dictionary: all but floats, or lists of these, and floats of which
    not more than a quarter of the first ones is different, as of stars and counts.
    """
    every = pc.list_flatten(column) if pa.types.is_list(column.type) else column
    if not pa.types.is_floating(every.type):
        return True
    values = every.slice(0, _FLOATS_LOOKED_AT).to_numpy()
    return 4 * len(np.unique(values)) <= len(values)


def write_file(content: bytes, folder: Location, name: str) -> Part:
    """Write an artifact's file below `folder`; `name` may hold folders. Raises DataError where
    it would leave the folder.
    """
    path = storage.inside(folder, name)
    storage.make_folder(path.parent)
    with _HashingFile(path) as file:
        file.write(content)
    return Part(f"{folder.name}/{name}", 0, 0, file.bytes, file.hexdigest())


def _row_groups(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Small tables joined until they make a row group worth its metadata."""
    waiting: list[pa.Table] = []
    rows = size = 0
    for table in tables:
        waiting.append(table)
        rows += table.num_rows
        size += table.nbytes
        if rows >= _ROW_GROUP_ROWS or size >= _ROW_GROUP_BYTES:
            yield pa.concat_tables(waiting)
            waiting, rows, size = [], 0, 0
    if rows:
        yield pa.concat_tables(waiting)


def _equal_row_groups(tables: Iterable[pa.Table], group_rows: int) -> Iterator[pa.Table]:
    """The tables' rows cut anew, every `group_rows`."""
    waiting = None
    for table in tables:
        waiting = table if waiting is None else pa.concat_tables([waiting, table])
        while waiting.num_rows >= group_rows:
            yield waiting.slice(0, group_rows)
            waiting = waiting.slice(group_rows)
    if waiting is not None and waiting.num_rows:
        yield waiting
