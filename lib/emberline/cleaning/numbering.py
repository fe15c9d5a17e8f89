"""Dense indices for outside ids: those that have one keep it, and new ones are numbered on from the
end in the order of their text.

No task sees all ids. Known and wanted ones meet in the blocks that ids are hashed to; new ones are
ordered in blocks of ranges, which samples of them have told.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning.codes import block_of, ranked
from emberline.errors import DataError
from emberline.numeric.arrays import Array, Int32, Int64
from emberline.numeric.shared import Shared

# an id: its code where it was met now, and its index where it has one; whether it is wanted, and
# whether the stage's own table has it
MET = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.string()),
        ("code", pa.int64()),
        ("index", pa.int32()),
        ("wanted", pa.bool_()),
        ("own", pa.bool_()),
        ("title", pa.string()),
    ]
)
SAMPLES = pa.schema([("prefix", pa.binary())])
COUNTS = pa.schema([("block", pa.int32()), ("count", pa.int64())])
INDICES = pa.schema([("code", pa.int64()), ("index", pa.int32())])
_PREFIX = 32  # bytes of an id by which its range is found
_SAMPLES_PER_BLOCK = 32  # of each range, from each part


def known(
    batches: Iterator[pa.RecordBatch],
    own: bool,
    blocks: int,
    reserved: frozenset[int] = frozenset(),
) -> Iterator[pa.RecordBatch]:
    """Columns of an index, an id, and maybe a title, to MET, but for `reserved` indices, whose
    owners were forgotten.
    """
    gone = np.array(sorted(reserved), np.int32)
    for batch in batches:
        if len(gone):
            batch = batch.filter(pa.array(~np.isin(batch.column(0).to_numpy(), gone)))
        index, ids, *titles = batch.columns
        columns = {"block": block_of(ids, blocks), "id": ids, "index": index}
        columns |= {"title": titles[0]} if titles else {}
        yield _filled(columns, wanted=False, own=own)


def coded(
    batches: Iterator[pa.RecordBatch], wanted: Shared | None, blocks: int
) -> Iterator[pa.RecordBatch]:
    """CODED to MET; `wanted` says which codes (codes,) are, None that all are."""
    for batch in batches:
        columns: dict[str, Any] = {name: batch[name] for name in ("id", "code", "title")}
        columns["block"] = block_of(batch["id"], blocks)
        if wanted is not None:
            columns["wanted"] = pa.array(wanted.value[batch["code"].to_numpy()])
        yield _filled(columns, wanted=True, own=False)


def _filled(columns: Mapping[str, Any], **flags: bool) -> pa.RecordBatch:
    """MET of some columns, what is missing being null, and flags the same for all rows."""
    rows = len(columns["id"])
    said = {name: pa.repeat(pa.scalar(flag), rows) for name, flag in flags.items()}
    every = {**said, **columns}
    arrays = [every.get(field.name, pa.nulls(rows, field.type)) for field in MET]
    return pa.record_batch(arrays, schema=MET)


def meet(batches: Iterator[pa.RecordBatch], contradiction: str) -> Iterator[pa.RecordBatch]:
    """MET to MET, each of the ids of one block once, with the title that it has now or else had
    before. Raises DataError, saying so, where one has two indices.
    """
    rows = pa.Table.from_batches(list(batches), MET)
    if not rows.num_rows:
        return
    ranks, distinct = ranked(rows["id"])
    codes, indices = (_of_each(ranks, rows[name], len(distinct)) for name in ("code", "index"))
    given = rows["index"].fill_null(-1).to_numpy()
    if np.any((given >= 0) & (given != indices[ranks])):
        raise DataError(contradiction)
    flags = {name: np.zeros(len(distinct), bool) for name in ("wanted", "own")}
    for name, flag in flags.items():
        flag[ranks[rows[name].to_numpy()]] = True
    columns = {
        "block": np.full(len(distinct), rows["block"][0].as_py(), np.int32),
        "id": distinct,
        "code": pa.array(codes, mask=codes < 0),
        "index": pa.array(indices.astype(np.int32), mask=indices < 0),
        "title": _titles(rows, ranks, len(distinct)),
        **{name: pa.array(flag) for name, flag in flags.items()},
    }
    yield _filled(columns)


def _titles(rows: pa.Table, ranks: Int64, count: int) -> pa.Array:
    """The title of each id (count,): the one of a row that has a code before any other."""
    titled = np.flatnonzero(rows["title"].is_valid().to_numpy())
    is_new = rows["code"].is_valid().to_numpy()[titled]
    place = np.full(count, -1, np.int64)
    for chosen in (titled[~is_new], titled[is_new]):
        place[ranks[chosen]] = chosen
    return rows["title"].take(pa.array(place, mask=place < 0)).combine_chunks()


def _of_each(ranks: Int64, numbers: pa.ChunkedArray, count: int) -> Int64:
    """One of the numbers of each id (count,), -1 where it has none."""
    found = np.full(count, -1, np.int64)
    filled = numbers.fill_null(-1).to_numpy()
    found[ranks[filled >= 0]] = filled[filled >= 0]
    return found


def having_index(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Those rows of MET that have an index."""
    return (batch.filter(batch["index"].is_valid()) for batch in batches)


def lacking_index(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Those rows of MET that are wanted and have no index."""
    for batch in batches:
        yield batch.filter(pc.and_(batch["wanted"], batch["index"].is_null()))


# --------------------------------------------------------------------------------------------------
# new ids, in the order of their text


def sample(batches: Iterator[pa.RecordBatch], ranges: int) -> Iterator[pa.RecordBatch]:
    """MET to SAMPLES: evenly of each batch, whose ids are in order."""
    for batch in batches:
        count = min(batch.num_rows, ranges * _SAMPLES_PER_BLOCK)
        places = np.arange(count) * batch.num_rows // max(count, 1)
        prefixes = _prefixes(batch["id"].take(pa.array(places)))
        yield pa.record_batch([pa.array(prefixes.tolist(), pa.binary())], schema=SAMPLES)


def boundaries(samples: Sequence[bytes], ranges: int) -> Array:
    """The prefixes (ranges - 1,) from which the second and every further range begin."""
    ordered = np.sort(np.array([b"", *samples], f"S{_PREFIX}"))
    return ordered[np.arange(1, ranges) * len(ordered) // ranges]


def in_ranges(batches: Iterator[pa.RecordBatch], begin: Array) -> Iterator[pa.RecordBatch]:
    """MET to MET, in blocks of ranges."""
    for batch in batches:
        ranges = np.searchsorted(begin, _prefixes(batch["id"]), side="right")
        yield pa.record_batch([ranges.astype(np.int32), *batch.columns[1:]], schema=MET)


def _prefixes(ids: pa.Array) -> Array:
    """The first bytes of each id (n,), which order them as their texts do, but for ties."""
    ends = np.frombuffer(ids.buffers()[1], np.int32)[ids.offset : ids.offset + len(ids) + 1]
    content = np.frombuffer(ids.buffers()[2] or b"", np.uint8)
    places = ends[:-1, None] + np.arange(_PREFIX)
    is_inside = places < ends[1:, None]
    found = np.zeros((len(ids), _PREFIX), np.uint8)
    found[is_inside] = content[places[is_inside]]
    return found.view(f"S{_PREFIX}").ravel()


def in_order(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """MET of one range to the same in the order of ids, numbered from 0."""
    rows = pa.Table.from_batches(list(batches), MET)
    if not rows.num_rows:
        return
    rows = rows.take(pc.sort_indices(rows["id"])).combine_chunks()
    index = pa.array(np.arange(len(rows), dtype=np.int32))
    rows = rows.set_column(MET.get_field_index("index"), MET.field("index"), index)
    yield from rows.to_batches()


def count_blocks(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """MET to COUNTS."""
    for batch in batches:
        if batch.num_rows:
            block = batch["block"][0].as_py()
            yield pa.record_batch([[block], [batch.num_rows]], schema=COUNTS)


def offsets(counts: Sequence[tuple[int, int]], start: int) -> Int64:
    """The first index of every block up to the last that has ids, from (block, count)."""
    blocks = np.array([block for block, _ in counts], np.int64)
    sizes = np.bincount(blocks, [count for _, count in counts]).astype(np.int64)
    return start + np.cumsum(sizes) - sizes


def numbered(batches: Iterator[pa.RecordBatch], first: Int64) -> Iterator[pa.RecordBatch]:
    """MET numbered within blocks to MET numbered over all of them."""
    place = MET.get_field_index("index")
    for batch in batches:
        index = batch["index"].to_numpy() + first[batch["block"].to_numpy()]
        yield batch.set_column(place, MET.field("index"), pa.array(index.astype(np.int32)))


def table_rows(
    batches: Iterator[pa.RecordBatch], end: int, blocks: int
) -> Iterator[pa.RecordBatch]:
    """MET to MET, those ids that the stage's own table is to have, in blocks by their index, all
    of which are below `end`.
    """
    for batch in batches:
        rows = batch.filter(pc.or_(batch["wanted"], batch["own"]))
        block = rows["index"].to_numpy().astype(np.int64) * blocks // max(end, 1)
        yield rows.set_column(0, MET.field("block"), pa.array(block.astype(np.int32)))


def by_index(
    batches: Iterator[pa.RecordBatch], columns: Mapping[str, str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """MET, all of a block, in the order of the indices, to the columns of a table by its names."""
    rows = pa.Table.from_batches(list(batches), MET).sort_by("index")
    found = pa.table([rows[columns[name]] for name in schema.names], schema=schema)
    yield from found.combine_chunks().to_batches()


def indices(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """MET to INDICES."""
    for batch in batches:
        yield batch.select(["code", "index"])


def index_of(found: pa.Table, codes: int) -> Int32:
    """The index of each of so many codes, -1 where none has that code, from INDICES."""
    found = found.filter(found["code"].is_valid())
    index = np.full(codes, -1, np.int32)
    index[found["code"].to_numpy()] = found["index"].to_numpy()
    return index
