"""Raw text files, whatever they are written in, as batches of records: the one place that knows all their kinds."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from emberline.errors import ConfigError
from emberline.records import decoding, heads, objects, separated, streams
from emberline.records.decoding import Block
from emberline.records.dialect import Dialect
from emberline.records.heads import Head, Layout, Wanted

EXTENSIONS = {".csv": "csv", ".tsv": "csv", ".dat": "csv", ".txt": "csv", ".data": "csv", ".json": "json", ".jsonl": "json"}
EXTENSIONS |= {".ndjson": "json", ".parquet": "parquet", ".pq": "parquet"}


def kind_of(name: str) -> str | None:
    """csv, json or parquet, by a file's name; None where it does not say."""
    return EXTENSIONS.get("." + streams.without_compression(name).rpartition(".")[2])


def read(
    file: Any,
    name: str,
    layout: Layout,
    wanted: Wanted,
    lists: Collection[str] = (),
    start: int = 0,
    end: int | None = None,
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and one of text per key of `wanted`, of the records between two places where records begin.

    In JSON, the columns `lists` may hold lists, whose words stand behind an objects.WORDS each.
    Raises DataError where the file is not whole, SchemaError for a column that it does not have.
    """
    blocks = decoding.lines(streams.blocks(file, name, start, end), layout.dialect.encoding)
    yield from _batches(blocks, name, layout, wanted, lists)


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
    file: Any, name: str, dialect: Dialect, wanted: Wanted, lists: Collection[str] = (), lines: int = 1000
) -> tuple[Layout, pa.RecordBatch] | None:
    """What a file's first lines say, and its first records as `read` has them; None where no line is data.

    A layout's names are the header's, or the keys that the first objects of JSON have. Raises as `read`.
    """
    first = heads.read_head(file, name, dialect.encoding)
    layout = layout_of(first, dialect)
    if layout is None:
        return None
    found = _batches(iter([Block(first.data)]), name, layout, wanted, lists)
    table = pa.Table.from_batches(list(found)).slice(0, lines).combine_chunks()
    return layout, table.to_batches()[0] if table.num_rows else next(iter(table.to_batches()), _none(wanted))


def layout_of(head: Head, dialect: Dialect) -> Layout | None:
    """What a file's first lines say, by the kind of file. Raises ConfigError for what cannot be."""
    if dialect.kind not in ("csv", "json"):
        raise ConfigError(f"{head.name}: {dialect.kind} is not text")
    return objects.layout(head, dialect) if dialect.kind == "json" else heads.layout(head, dialect)


def _none(wanted: Wanted) -> pa.RecordBatch:
    return pa.record_batch([pa.nulls(0, pa.string())] * (2 + len(wanted)), ["raw", "problem", *wanted])
