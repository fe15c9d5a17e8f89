"""Outside ids by number while a stage runs: an id is hashed to a block, and has a code there.

A code is `rank * blocks + block`, by the id's rank in the order of text among the ids of its block:
whoever has all ids of a block gives each the same code, and codes are nearly dense.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import hashes
from emberline.numeric.arrays import Int32, Int64

# an id in a block, with one of its other spellings or (in a row of its own) one of its titles
FOUND = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.string()),
        ("spelling", pa.string()),
        ("title", pa.string()),
        ("moment", pa.int64()),  # of the title, in microseconds
    ]
)
# an id, once; `joined` is how many spellings there are besides the first
CODED = pa.schema(
    [
        ("block", pa.int32()),
        ("code", pa.int64()),
        ("id", pa.string()),
        ("title", pa.string()),
        ("joined", pa.int64()),
    ]
)
_NEVER = np.iinfo(np.int64).min + 1  # of what has no time: before everything


HASHED = pa.schema([("hash", pa.int64()), ("code", pa.int64())])


@dataclass(frozen=True)
class Lookup:
    """The codes (n,) of ids by their hashes (n,), ascending, no two of which are equal."""

    hashes: Int64
    codes: Int64
    salt: int

    def codes_of(self, ids: pa.Array) -> Int64:
        """The code (m,) of each of some of those ids (m,)."""
        return self.codes[np.searchsorted(self.hashes, hash_of(ids, self.salt))]


def hash_of(ids: pa.Array, salt: int = 0) -> Int64:
    """64 bits of each id (n,); another salt gives others."""
    return hashes.of_columns("id", salt, ids).view(np.int64)


def block_of(ids: pa.Array, blocks: int) -> Int32:
    """The block (n,) of each id (n,)."""
    return np.mod(hash_of(ids), blocks).astype(np.int32)


def ranked(texts: pa.ChunkedArray) -> tuple[Int64, pa.Array]:
    """The rank (n,) of each text among the distinct ones, -1 where there is none; and the distinct
    ones in the order of their UTF-8 bytes.
    """
    encoded = pc.dictionary_encode(texts).unify_dictionaries()
    distinct = encoded.chunk(0).dictionary if encoded.num_chunks else pa.array([], pa.string())
    order = pc.sort_indices(distinct).to_numpy()
    rank = np.empty(len(order) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(order)), -1
    places = [chunk.indices.fill_null(len(order)).to_numpy() for chunk in encoded.chunks]
    return rank[np.concatenate([np.empty(0, np.int64), *places])], distinct.take(pa.array(order))


def codes_of(ids: pa.ChunkedArray, blocks: int) -> tuple[Int64, pa.Array]:
    """The code (n,) of each of all ids of one block, and the distinct ids in the order of their
    codes.
    """
    ranks, distinct = ranked(ids)
    block = block_of(distinct.slice(0, 1), blocks)[0] if len(distinct) else 0
    return ranks * blocks + block, distinct


def micros(moments: pa.Array | pa.ChunkedArray) -> Int64:
    """Times in microseconds (n,), those that are missing before all others."""
    found: Int64 = moments.cast(pa.int64()).fill_null(_NEVER).to_numpy()
    return found


def find_ids(
    batches: Iterator[pa.RecordBatch], id_column: str, spelling: str, with_titles: bool, blocks: int
) -> Iterator[pa.RecordBatch]:
    """Cleaned rows to FOUND: the ids of the good ones, from two columns, and maybe their titles."""
    for batch in batches:
        rows = pa.Table.from_batches([batch]).filter(batch["reason"].is_null())
        yield _spellings(rows[id_column], rows[spelling], blocks)
        if with_titles and rows["title"].null_count < len(rows):
            yield _titles(rows.filter(rows["title"].is_valid()), id_column, blocks)


def _spellings(ids: pa.ChunkedArray, spellings: pa.ChunkedArray, blocks: int) -> pa.RecordBatch:
    """Each id with each of its spellings once, among which is none: the id as it is."""
    ranks, distinct = ranked(ids)
    spelled, texts = ranked(spellings)
    pairs = np.unique(ranks * (len(texts) + 1) + spelled + 1)
    found = distinct.take(pa.array(pairs // (len(texts) + 1)))
    which = pairs % (len(texts) + 1) - 1
    said = texts.take(pa.array(which, mask=which < 0))
    nothing = pa.nulls(len(found), pa.string())
    never = pa.nulls(len(found), pa.int64())
    return pa.record_batch([block_of(found, blocks), found, said, nothing, never], schema=FOUND)


def _titles(rows: pa.Table, id_column: str, blocks: int) -> pa.RecordBatch:
    """Of each id that has any title the newest."""
    ids, titles, moments = _newest(rows[id_column], rows["title"], micros(rows["timestamp"]))
    nothing = pa.nulls(len(ids), pa.string())
    return pa.record_batch([block_of(ids, blocks), ids, nothing, titles, moments], schema=FOUND)


def _newest(
    ids: pa.ChunkedArray, titles: pa.ChunkedArray, moments: Int64
) -> tuple[pa.Array, pa.Array, Int64]:
    """Each id with its newest title and that one's time; of equally old ones the last in the order
    of text.
    """
    (ranks, distinct), (said, texts) = ranked(ids), ranked(titles)
    order = np.lexsort((said, moments, ranks))
    ends = np.flatnonzero(np.diff(ranks[order], append=-1))
    last = order[ends]
    return distinct.take(pa.array(ranks[last])), texts.take(pa.array(said[last])), moments[last]


def code_ids(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """FOUND to CODED, of all ids of one block."""
    rows = pa.Table.from_batches(list(batches), FOUND)
    if not rows.num_rows:
        return
    codes, distinct = codes_of(rows["id"], blocks)
    titled = rows["title"].is_valid()
    titles = pa.nulls(len(distinct), pa.string())
    if pc.any(titled).as_py():
        named = rows.filter(titled)
        ids, newest, _ = _newest(named["id"], named["title"], named["moment"].to_numpy())
        titles = newest.take(pc.index_in(distinct, value_set=ids))
    spelled = rows.filter(pc.invert(titled))
    joined = _joined(codes[~titled.to_numpy()] // blocks, spelled["spelling"], len(distinct))
    block = rows["block"][0].as_py()
    every = np.arange(len(distinct)) * blocks + block
    columns = [np.full(len(distinct), block, np.int32), every, distinct, titles, joined]
    yield pa.record_batch(columns, schema=CODED)


def _joined(ranks: Int64, spellings: pa.ChunkedArray, count: int) -> Int64:
    """How many spellings each id (count,) has besides the first."""
    spelled, texts = ranked(spellings)
    pairs = np.unique(ranks * (len(texts) + 1) + spelled + 1)
    return np.bincount(pairs // (len(texts) + 1), minlength=count) - 1


def hash_ids(batches: Iterator[pa.RecordBatch], salt: int) -> Iterator[pa.RecordBatch]:
    """CODED to HASHED."""
    for batch in batches:
        yield pa.record_batch([hash_of(batch["id"], salt), batch["code"]], schema=HASHED)


FACTS = pa.schema([("ids", pa.int64()), ("codes", pa.int64()), ("joined", pa.int64())])


def facts_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """CODED to FACTS: how many ids there are, below which number their codes are, and how many
    spellings were joined.
    """
    for batch in batches:
        last, joined = pc.max(batch["code"]).as_py(), pc.sum(batch["joined"]).as_py()
        yield pa.record_batch([[batch.num_rows], [last + 1], [joined]], schema=FACTS)
