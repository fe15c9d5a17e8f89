"""What Spark's Python workers run for cosine neighbours: a few large rows in, each a part of a
sparse matrix, and out.

An id belongs to block `id % blocks`, so that blocks are even whatever the order of ids means.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf.blocks import rows_of
from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.neighborhood import Neighborhood, Rated, Rule, weighted_means
from emberline.cf.cosine.similarity import Damping, Nearest
from emberline.cf.entries import Entries, read
from emberline.numeric.arrays import Float32, Float64, Int32, Int64

Batches = Iterator[pa.RecordBatch]
Kind = TypeVar("Kind")

RIGHT = "right_"
_PAIRS = 1 << 16  # whose neighbours are in memory, and travel, at a time


@dataclass(frozen=True)
class Compressed:
    """The part of a sparse matrix with some of its rows, in CSR, or some of its columns, in CSC;
    `ids` (m,) says which.

    `values` are to be divided by their row's or column's length, (m,) float64: in float32, ties
    would come apart.
    """

    ids: Int32
    lengths: Float64
    indptr: Int64
    indices: Int32
    values: Float32


def _schema(kind: type) -> pa.Schema:
    return pa.schema(
        [("block", pa.int32()), *((field.name, pa.binary()) for field in fields(kind))]
    )


BLOCKS, CANDIDATES = _schema(Compressed), _schema(Nearest)
ACCOUNTS = pa.schema([("not_finite", pa.int64()), ("negative", pa.int64())])
NEIGHBORS = pa.schema([("row", pa.int32()), ("neighbor", pa.int32()), ("similarity", pa.float32())])
PAIRS = pa.schema([("block", pa.int32()), ("targets", pa.binary()), ("owners", pa.binary())])
RATED = pa.schema(
    [
        ("block", pa.int32()),
        ("start", pa.int64()),
        ("targets", pa.binary()),
        ("owners", pa.binary()),
    ]
    + [(field.name, pa.binary()) for field in fields(Rated)]
)
DEVIATIONS = pa.schema([("target", pa.int32()), ("owner", pa.int32()), ("deviation", pa.float32())])
_FLOATS = dict.fromkeys(("values", "similarities", "deviations"), np.float32)
_DTYPES = _FLOATS | {"indptr": np.int64, "lengths": np.float64}


def _encoded(block: int, arrays: Compressed | Nearest) -> pa.RecordBatch:
    content = {field.name: getattr(arrays, field.name).tobytes() for field in fields(arrays)}
    return pa.RecordBatch.from_pylist([{"block": block, **content}], schema=_schema(type(arrays)))


def _decoded(kind: type[Kind], row: Mapping[str, Any], prefix: str = "") -> Kind:
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    return kind(*(np.frombuffer(row[prefix + name], _DTYPES.get(name, np.int32)) for name in names))


# --------------------------------------------------------------------------------------------------
# packing


def account(batches: Batches) -> Batches:
    """Columns row, term and value to ACCOUNTS: how many values are not finite, and how many are
    below zero.
    """
    for entries in read(batches):
        counts = (~np.isfinite(entries.values)).sum(), (entries.values < 0).sum()
        yield pa.record_batch([[count] for count in counts], schema=ACCOUNTS)


@dataclass(frozen=True)
class Terms:
    """What is done to all entries of a term: see cosine; without `limit` none is left out,
    without `num_rows` none weighted.
    """

    is_centered: bool = False
    limit: int | None = None
    num_rows: int | None = None
    seed: int = 1

    @property
    def is_needed(self) -> bool:
        """Whether anything is done."""
        return self.is_centered or bool(self.limit) or bool(self.num_rows)


@dataclass(frozen=True)
class Rows:
    """What is done to all entries of a row: see cosine."""

    is_centered: bool = False
    weighting: str = "none"
    average_length: float = 1.0


def prepare_terms(pieces: Batches, blocks: int, terms: Terms, row_blocks: int) -> Batches:
    """All PIECES of one of so many blocks of terms to PIECES by block of rows."""
    entries = Entries.decoded(rows_of(pieces))
    if terms.limit:
        entries = entries.take(
            cosine.sampled(entries, entries.columns // blocks, terms.limit, terms.seed)
        )
    groups = entries.columns // blocks
    if terms.is_centered:
        entries = replace(entries, values=cosine.centered(entries.values, groups))
    if terms.num_rows:
        entries = replace(entries, idf=cosine.inverse_frequencies(groups, terms.num_rows))
    yield from entries.pieces(entries.rows % row_blocks)


def prepare_rows(pieces: Batches, blocks: int, rows: Rows) -> Batches:
    """All PIECES of one of so many blocks of rows to one row of BLOCKS: the rows in CSR."""
    found = list(rows_of(pieces))
    if not found:
        return
    entries = Entries.decoded(found)
    groups, values = entries.rows // blocks, entries.values
    if rows.is_centered:
        values = cosine.centered(values, groups)
    if rows.weighting != "none":
        values = (
            cosine.frequencies(values, groups, rows.weighting, rows.average_length) * entries.idf
        )
    present = np.bincount(groups) > 0
    place = np.cumsum(present, dtype=np.int32) - 1
    matrix = replace(entries, rows=place[groups], values=values).matrix(int(present.sum()))
    number = found[0]["block"]
    yield _encoded(
        number,
        _compressed(np.flatnonzero(present) * blocks + number, cosine.lengths(matrix), matrix),
    )


def _compressed(ids: Int64, lengths: Float64, matrix: sp.csr_matrix | sp.csc_matrix) -> Compressed:
    indptr, indices = matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)
    return Compressed(ids.astype(np.int32), lengths, indptr, indices, matrix.data)


def as_columns(blocks: Batches) -> Batches:
    """BLOCKS of rows to one row of BLOCKS: all of these rows as the columns of a matrix that
    has terms as rows.
    """
    parts = [_decoded(Compressed, row) for row in rows_of(blocks)]
    if parts:
        num_terms = max(map(_num_terms, parts))
        stacked = sp.vstack(
            [_matrix(part.values, part, len(part.ids), num_terms) for part in parts], format="csr"
        )
        ids, lengths = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "lengths")
        )
        yield _encoded(0, _compressed(ids, lengths, stacked.tocsc()))


def _num_terms(rows: Compressed) -> int:
    return int(rows.indices.max(initial=-1)) + 1


def _matrix(
    data: Float32 | Float64, part: Compressed, num_rows: int, num_columns: int
) -> sp.csr_matrix:
    """CSR of `part` with these data; rows after its last are empty."""
    indptr = np.pad(part.indptr, (0, num_rows + 1 - len(part.indptr)), "edge")
    return sp.csr_matrix((data, part.indices, indptr), shape=(num_rows, num_columns))


# --------------------------------------------------------------------------------------------------
# product


@dataclass(frozen=True)
class Search:
    """What is looked for; with `one_in` above 1, for that share of the rows, chosen by hash."""

    top_k: int
    damping: Damping
    one_in: int
    seed: int


def match(pairs: Batches, search: Search) -> Batches:
    """The neighbours of a block's rows among a block's columns, whose names begin with RIGHT:
    pairs of BLOCKS to CANDIDATES.
    """
    for pair in rows_of(pairs):
        rows, columns = _decoded(Compressed, pair), _decoded(Compressed, pair, RIGHT)
        left, right = _factors(rows, columns)
        chosen = cosine.in_sample(rows.ids, search.one_in, search.seed)
        left = left if chosen.all() else left[chosen]
        found = cosine.nearest(
            left, right, rows.ids[chosen], columns.ids, search.top_k, search.damping
        )
        yield _encoded(pair["block"], found)


def match_and_merge(pairs: Batches, search: Search) -> Batches:
    """Both at once, where there is one block of columns: no candidates from elsewhere are to be
    waited for.
    """
    return merge(match(pairs, search), search.top_k)


def _factors(rows: Compressed, columns: Compressed) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Both with lengths 1 and with as many terms: a term that only one of them has is empty in
    the other.
    """
    terms = max(_num_terms(rows), len(columns.indptr) - 1)
    left, right = (
        rows.values / np.repeat(rows.lengths, np.diff(rows.indptr)),
        columns.values / columns.lengths[columns.indices],
    )
    return _matrix(left, rows, len(rows.ids), terms), _matrix(
        right, columns, terms, len(columns.ids)
    )


def merge(candidates: Batches, top_k: int) -> Batches:
    """All CANDIDATES of one block to NEIGHBORS."""
    parts = [_decoded(Nearest, row) for row in rows_of(candidates)]
    if parts:
        best = cosine.best(Nearest.joined(parts), top_k)
        yield pa.record_batch([best.rows, best.neighbors, best.similarities], schema=NEIGHBORS)


# --------------------------------------------------------------------------------------------------
# prediction


def gather(pieces: Batches) -> Batches:
    """All PIECES of pairs (target, owner) of one block to one row of PAIRS, in the order of
    targets and owners.
    """
    found = list(rows_of(pieces))
    if found:
        pairs = Entries.decoded(found)
        pairs = pairs.take(np.lexsort((pairs.columns, pairs.rows)))
        arrays = pairs.rows.tobytes(), pairs.columns.tobytes()
        yield pa.record_batch([[found[0]["block"]], *([array] for array in arrays)], schema=PAIRS)


def look_up(cells: Batches, rule: Rule) -> Batches:
    """The neighbours of a block's pairs among a block's columns: BLOCKS, PAIRS and RIGHT
    columns to rows of RATED.
    """
    for cell in rows_of(cells):
        rows, columns = _decoded(Compressed, cell), _decoded(Compressed, cell, RIGHT)
        targets, owners = (np.frombuffer(cell[name], np.int32) for name in ("targets", "owners"))
        known = _neighborhood(rows, columns)
        for start in range(0, len(targets), _PAIRS):
            some = slice(start, start + _PAIRS)
            found = known.nearest(owners[some], targets[some], rule)
            yield _rated(cell["block"], start, targets[some], owners[some], found)


def _neighborhood(rows: Compressed, columns: Compressed) -> Neighborhood:
    order = np.argsort(columns.ids)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = replace(
        columns,
        ids=columns.ids[order],
        lengths=columns.lengths[order],
        indices=place[columns.indices].astype(np.int32),
    )
    left, right = _factors(rows, columns)
    deviations = _matrix(columns.values, columns, right.shape[0], len(columns.ids))
    return Neighborhood(left, right, deviations, rows.ids, columns.ids)


def _rated(block: int, start: int, targets: Int32, owners: Int32, found: Rated) -> pa.RecordBatch:
    arrays = [targets, owners, *(getattr(found, field.name) for field in fields(Rated))]
    return pa.record_batch(
        [[block], [start], *([array.tobytes()] for array in arrays)], schema=RATED
    )


def predict(candidates: Batches, rule: Rule) -> Batches:
    """RATED of the same pairs after each other to DEVIATIONS of those that have a neighbour."""
    for _, group in groupby(rows_of(candidates), itemgetter("block", "start")):
        parts = list(group)
        targets, owners = (
            np.frombuffer(parts[0][name], np.int32) for name in ("targets", "owners")
        )
        best = cosine.best(Rated.joined([_decoded(Rated, part) for part in parts]), rule.top_k)
        deviations = weighted_means(best, len(targets), rule.prior)
        answered = ~np.isnan(deviations)
        yield pa.record_batch(
            [targets[answered], owners[answered], deviations[answered]], schema=DEVIATIONS
        )


def look_up_and_predict(cells: Batches, rule: Rule) -> Batches:
    """Both at once, where there is one block of columns."""
    return predict(look_up(cells, rule), rule)
