"""Raw text files, whatever they are written in, as batches of records: the one place that knows
all their kinds.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pyarrow as pa

from emberline.errors import ConfigError
from emberline.records import decoding, heads, objects, separated, streams
from emberline.records.cuts import Cutter
from emberline.records.decoding import Block
from emberline.records.dialect import Dialect
from emberline.records.heads import Head, Layout, Wanted

EXTENSIONS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".dat": "csv",
    ".txt": "csv",
    ".data": "csv",
    ".json": "json",
    ".jsonl": "json",
}
EXTENSIONS |= {".ndjson": "json", ".parquet": "parquet", ".pq": "parquet"}
TASKS = pa.schema(
    [
        ("source_file", pa.string()),
        ("uri", pa.string()),
        ("size", pa.int64()),
        ("modified", pa.int64()),
        ("start", pa.int64()),  # bytes; the records that begin in between are the task's
        ("end", pa.int64()),
        ("layout", pa.int32()),
    ]
)
COUNTED = pa.schema([("rows", pa.int64())])
KEYS = pa.schema([("key", pa.string()), ("count", pa.int64())])
_UNPACKED = 4  # bytes of text in a compressed byte
# a file of a size and time of change, or DataError
Open = Callable[[str, int, int], AbstractContextManager[Any]]


def schema(wanted: Wanted) -> pa.Schema:
    """What `read_tasks` makes."""
    return pa.schema([(name, pa.string()) for name in ("source_file", "raw", "problem", *wanted)])


def kind_of(name: str) -> str | None:
    """csv, json or parquet, by a file's name; None where it does not say."""
    return EXTENSIONS.get("." + streams.without_compression(name).rpartition(".")[2])


def unpacked_bytes(name: str, size: int) -> int:
    """About how many bytes of text a file of so many bytes holds."""
    is_packed = streams.compression(name) is not None or kind_of(name) == "parquet"
    return size * _UNPACKED if is_packed else size


def read(
    file: Any,
    name: str,
    layout: Layout,
    wanted: Wanted,
    lists: Collection[str] = (),
    start: int = 0,
    end: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and one of text per key of `wanted`, of the records between two places
    where records begin.

    In JSON, the columns `lists` may hold lists, whose words stand behind an objects.WORDS each.
    Raises DataError where the file is not whole, SchemaError for a column that it does not have.
    """
    blocks = decoding.lines(streams.blocks(file, name, start, end), layout.dialect.encoding)
    yield from _batches(blocks, name, layout, wanted, lists)


def read_tasks(
    batches: Iterable[pa.RecordBatch],
    layouts: Sequence[Layout],
    wanted: Wanted,
    lists: Collection[str],
    opened: Open,
) -> Iterator[pa.RecordBatch]:
    """TASKS to `schema`: the records of pieces of files, each in exactly one piece of its file
    wherever that is cut.
    """
    for task in (row for batch in batches for row in batch.to_pylist()):
        layout = layouts[task["layout"]]
        with opened(task["uri"], task["size"], task["modified"]) as file:
            start, end = _edges(file, task, layout)
            for found in read(file, task["uri"], layout, wanted, lists, start, end):
                names = pa.repeat(pa.scalar(task["source_file"]), found.num_rows)
                yield pa.record_batch([names, *found.columns], schema=schema(wanted))


def count_tasks(
    batches: Iterable[pa.RecordBatch], layouts: Sequence[Layout], opened: Open
) -> Iterator[pa.RecordBatch]:
    """TASKS to COUNTED: how many records each piece holds, cut, but not read."""
    for task in (row for batch in batches for row in batch.to_pylist()):
        layout = layouts[task["layout"]]
        with opened(task["uri"], task["size"], task["modified"]) as file:
            blocks = decoding.lines(
                streams.blocks(file, task["uri"], *_edges(file, task, layout)),
                layout.dialect.encoding,
            )
            is_json = layout.dialect.kind == "json"
            rows = (
                objects.count(blocks)
                if is_json
                else sum(b.num_rows for b in separated.batches(blocks, layout, {}))
            )
        yield pa.record_batch([[rows]], schema=COUNTED)


def count_keys(
    batches: Iterable[pa.RecordBatch], layouts: Sequence[Layout], keys: Sequence[str], opened: Open
) -> Iterator[pa.RecordBatch]:
    """TASKS to KEYS: in how many objects of a piece each of the keys is."""
    for task in (row for batch in batches for row in batch.to_pylist()):
        layout = layouts[task["layout"]]
        with opened(task["uri"], task["size"], task["modified"]) as file:
            blocks = streams.blocks(file, task["uri"], *_edges(file, task, layout))
            counts = objects.count_present(decoding.lines(blocks, layout.dialect.encoding), keys)
        yield pa.record_batch([list(keys), list(counts)], schema=KEYS)


def _edges(file: Any, task: dict[str, Any], layout: Layout) -> tuple[int, int | None]:
    """Where the first record of a piece begins, and the first one behind it; a file that is
    read whole is read to its end.
    """
    start, end, size = task["start"], task["end"], task["size"]
    if start == 0 and end == size:
        return 0, None
    cutter = Cutter(file, size, layout.dialect, layout.width)
    return cutter.record_after(start), cutter.record_after(end)


def _batches(
    blocks: Iterator[Block], name: str, layout: Layout, wanted: Wanted, lists: Collection[str]
) -> Iterator[pa.RecordBatch]:
    if layout.dialect.kind == "json":
        return objects.batches(blocks, layout.dialect.encoding, objects.keys_of(wanted), lists)
    return separated.batches(blocks, layout, positions(layout, wanted, name))


def positions(layout: Layout, wanted: Wanted, name: str) -> dict[str, int]:
    """Where the wanted columns stand. Raises SchemaError for one that is not there, or twice."""
    return {new: layout.position(column, name) for new, column in wanted.items()}


def head(
    file: Any,
    name: str,
    dialect: Dialect,
    wanted: Wanted,
    lists: Collection[str] = (),
    lines: int = 1000,
) -> tuple[Layout, pa.RecordBatch] | None:
    """What a file's first lines say, and its first records as `read` has them; None where no line
    is data.

    A layout's names are the header's, or the keys that the first objects of JSON have. Raises as
    `read`.
    """
    first = heads.read_head(file, name, dialect.encoding)
    layout = layout_of(first, dialect)
    if layout is None:
        return None
    if dialect.kind == "json":
        objects.missing(first, wanted)
    found = _batches(iter([Block(first.data)]), name, layout, wanted, lists)
    table = pa.Table.from_batches(list(found)).slice(0, lines).combine_chunks()
    return layout, (
        table.to_batches()[0] if table.num_rows else next(iter(table.to_batches()), _none(wanted))
    )


def layout_of(head: Head, dialect: Dialect) -> Layout | None:
    """What a file's first lines say, by the kind of file. Raises ConfigError for what cannot be."""
    if dialect.kind not in ("csv", "json"):
        raise ConfigError(f"{head.name}: {dialect.kind} is not text")
    return objects.layout(head, dialect) if dialect.kind == "json" else heads.layout(head, dialect)


def _none(wanted: Wanted) -> pa.RecordBatch:
    return pa.record_batch(
        [pa.nulls(0, pa.string())] * (2 + len(wanted)), ["raw", "problem", *wanted]
    )
