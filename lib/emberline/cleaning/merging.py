"""Rows of attributes of one id become one: their lists are joined, and of single values the first
counts, in the order of the sources, then of file and text.
"""

from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import attributes, codes
from emberline.cleaning.attributes import LISTS, NAMED, SINGLE
from emberline.cleaning.shield import is_hidden
from emberline.datasets.schema import REJECTED_ATTRIBUTES
from emberline.numeric.arrays import Array, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

# a row of one of several sources, in the block of its id
BY_ID = pa.schema([("block", pa.int32()), ("source", pa.int32()), *attributes.SCHEMA])
# those rows in their order, an id's `place` counted from 0
ORDERED = pa.schema([("code", pa.int64()), ("place", pa.int64()), *attributes.SCHEMA])
MERGED = pa.schema(
    [
        ("block", pa.int32()),
        ("code", pa.int64()),
        ("index", pa.int32()),
        *(attributes.SCHEMA.field(name) for name in ("id", *SINGLE, *LISTS, *NAMED)),
    ]
)
UNUSABLE = pa.schema([("name", pa.string()), ("count", pa.int64())])
_WHY = "another row of the same id"
Merged = Callable[[pa.ChunkedArray, Int64], pa.Array]


def by_id(batches: Iterator[pa.RecordBatch], source: int, blocks: int) -> Iterator[pa.RecordBatch]:
    """Cleaned rows of one source to BY_ID, the good ones."""
    for batch in batches:
        good = batch.filter(batch["reason"].is_null())
        block = codes.block_of(good["id"], blocks)
        sources = np.full(good.num_rows, source, np.int32)
        yield pa.record_batch([block, sources, *good.columns], schema=BY_ID)


def in_order(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """BY_ID, all rows of an id beside it, to ORDERED."""
    rows = pa.Table.from_batches(list(batches), BY_ID)
    found, _ = codes.codes_of(rows["id"], blocks)
    rows = rows.append_column("code", pa.array(found))
    by = [(name, "ascending") for name in ("code", "source", "source_file", "raw")]
    rows = rows.take(pc.sort_indices(rows, by))
    place = pa.array(place_among(rows["code"].to_numpy()))
    columns = [rows["code"], place, *(rows[name] for name in attributes.SCHEMA.names)]
    yield from pa.table(columns, schema=ORDERED).combine_chunks().to_batches()


def merge(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """ORDERED to MERGED, a row per id; lists keep each word once, in alphabetical order."""
    rows = pa.Table.from_batches(list(batches), ORDERED).combine_chunks()
    if not rows.num_rows:
        return
    begins = np.flatnonzero(rows["place"].to_numpy() == 0)
    columns = {
        "block": np.zeros(len(begins), np.int32),
        "index": pa.nulls(len(begins), pa.int32()),
        **{name: rows[name].take(pa.array(begins)) for name in ("code", "id")},
        **{name: _first(rows[name], begins) for name in SINGLE},
        **{name: _words(rows[name], begins) for name in LISTS},
        "numbers": _each(rows["numbers"], begins, _first),
        "categories": _each(rows["categories"], begins, _first),
        "lists": _each(rows["lists"], begins, _words),
    }
    merged = pa.table([columns[name] for name in MERGED.names], schema=MERGED)
    yield from merged.combine_chunks().to_batches()


def _first(values: pa.ChunkedArray, begins: Int64) -> pa.Array:
    """The first value of each group of rows that has any, null where it has none."""
    none = len(values)
    places = np.where(values.is_valid().to_numpy(), np.arange(none), none)
    first = np.minimum.reduceat(places, begins)
    return values.take(pa.array(first, mask=first == none)).combine_chunks()


def _words(lists: pa.ChunkedArray, begins: Int64) -> pa.Array:
    """All words of each group of rows, each once."""
    group = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(lists)))
    ranks, words = codes.ranked(pc.list_flatten(lists))
    of_rows = pc.list_parent_indices(lists).to_numpy()
    found = np.unique(group[of_rows] * max(len(words), 1) + ranks)
    return _lists(
        np.bincount(found // max(len(words), 1), minlength=len(begins)),
        words.take(pa.array(found % max(len(words), 1))),
    )


def _each(lists: pa.ChunkedArray, begins: Int64, merged: Merged) -> pa.Array:
    """Of each group of rows, whose lists are all of one length, what becomes of each place."""
    values = pc.list_flatten(lists).combine_chunks()
    width = len(values) // len(lists)
    columns = [
        merged(pa.chunked_array([values.take(pa.array(np.arange(at, len(values), width)))]), begins)
        for at in range(width)
    ]
    every = pa.concat_arrays(columns) if columns else values
    order = np.arange(width * len(begins)).reshape(width, len(begins)).T.ravel()
    return _lists(np.full(len(begins), width), every.take(pa.array(order)))


def _lists(lengths: Array, values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)


def rejected(batches: Iterator[pa.RecordBatch], side: str) -> Iterator[pa.RecordBatch]:
    """Cleaned rows to rejected ones: those that cannot be used; of people who were forgotten
    none.
    """
    for batch in batches:
        bad = batch.filter(pc.and_not(batch["reason"].is_valid(), is_hidden(batch)))
        yield _left_out(bad, side, "rejected", bad["reason"])


def merged_away(batches: Iterator[pa.RecordBatch], side: str) -> Iterator[pa.RecordBatch]:
    """ORDERED to rejected ones: rows that went into another row of the same id."""
    for batch in batches:
        others = batch.filter(pc.greater(batch["place"], 0))
        yield _left_out(others, side, "merged", pa.repeat(_WHY, others.num_rows))


def _left_out(rows: pa.RecordBatch, side: str, outcome: str, reason: pa.Array) -> pa.RecordBatch:
    constants = [pa.repeat(text, rows.num_rows) for text in (side, outcome)]
    columns = [constants[0], rows["source_file"], constants[1], reason, rows["raw"]]
    return pa.record_batch(columns, schema=REJECTED_ATTRIBUTES)


def count_unusable(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """ORDERED to UNUSABLE: by the name of a number, in how many rows there is a text that is
    none.
    """
    for batch in batches:
        found = pc.value_counts(pc.list_flatten(batch["unusable"]))
        yield pa.record_batch([found.field("values"), found.field("counts")], schema=UNUSABLE)


def with_index(
    batches: Iterator[pa.RecordBatch], index: Shared, end: int, blocks: int
) -> Iterator[pa.RecordBatch]:
    """MERGED to MERGED, with the `index` of its code (codes,), all below `end`, and in blocks by
    it.
    """
    for batch in batches:
        found = index.value[batch["code"].to_numpy()]
        block = (found.astype(np.int64) * blocks // max(end, 1)).astype(np.int32)
        columns = [block, batch["code"], found, *batch.columns[3:]]
        yield pa.record_batch(columns, schema=MERGED)


def in_table(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """MERGED to a table's columns (an index, an id and attributes), in the order of indices."""
    rows = pa.Table.from_batches(list(batches), MERGED)
    rows = rows.take(pc.sort_indices(rows["index"]))
    columns = [rows["index"], rows["id"], *(rows[name] for name in schema.names[2:])]
    yield from pa.table(columns, schema=schema).combine_chunks().to_batches()
