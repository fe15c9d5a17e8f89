"""The neighbours of a block's rows among a block's columns, and the best of several blocks'."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.compressed import (
    RIGHT,
    Batches,
    Compressed,
    decoded,
    encoded,
    schema_of,
    unit_rows,
)
from emberline.cf.cosine.similarity import Damping, Nearest
from emberline.numeric.arrays import Int32, Int64

CANDIDATES = schema_of(Nearest)
PAIRS = pa.schema([("row", pa.int32()), ("neighbor", pa.int32())])
NEIGHBORS = pa.schema([("row", pa.int32()), ("neighbor", pa.int32()), ("similarity", pa.float32())])


@dataclass(frozen=True)
class Search:
    """What is looked for; with `one_in` above 1, for that share of the rows, chosen by hash; by so
    many `threads` where sparse_dot_topn keeps Python's lock.
    """

    top_k: int
    damping: Damping
    one_in: int
    seed: int
    threads: int = 1


def match(pairs: Batches, search: Search) -> Batches:
    """The neighbours of a block's rows among a block's columns, whose names begin with RIGHT:
    pairs of COMPRESSED to CANDIDATES.
    """
    for pair in rows_of(pairs):
        yield encoded(pair["block"], _matched(pair, search))


def match_all(pairs: Batches, search: Search) -> Batches:
    """The same to NEIGHBORS, where there is one block of columns: no candidates from elsewhere
    are to be waited for.
    """
    for pair in rows_of(pairs):
        yield _listed(_matched(pair, search))


def _matched(pair: Mapping[str, Any], search: Search) -> Nearest:
    rows, columns = decoded(Compressed, pair), decoded(Compressed, pair, RIGHT)
    left, right = unit_rows(rows, columns)
    chosen = cosine.in_sample(rows.ids, search.one_in, search.seed)
    left = left if chosen.all() else left[chosen]
    ids = rows.ids[chosen], columns.ids
    return cosine.nearest(left, right, *ids, search.top_k, search.damping, search.threads)


def merge(candidates: Batches, top_k: int) -> Batches:
    """All CANDIDATES of one block to NEIGHBORS."""
    parts = [decoded(Nearest, row) for row in rows_of(candidates)]
    if parts:
        yield _listed(cosine.best(Nearest.joined(parts), top_k))


def _listed(best: Nearest) -> pa.RecordBatch:
    return pa.record_batch([best.rows, best.neighbors, best.similarities], schema=NEIGHBORS)


def of_rows(batches: Batches, wanted: Int32) -> Batches:
    """Columns row and neighbor to PAIRS, of these rows."""
    for batch in batches:
        chosen = batch.filter(pa.array(np.isin(batch.column(0).to_numpy(), wanted)))
        yield pa.record_batch(chosen.columns, schema=PAIRS)


def keys(rows: Int32, neighbors: Int32) -> Int64:
    """A number for each pair (n,)."""
    pairs: Int64 = rows.astype(np.int64) << 32 | neighbors
    return pairs
