"""Ratings packed into blocks of rows, as Spark's workers do it.

An id belongs to block `id % blocks`, so that blocks are even whatever the order of ids means.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf.blocks import portions, rows_of
from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.compressed import (
    Batches,
    Compressed,
    compressed,
    decoded,
    encoded,
    matrix_of,
    terms_of,
)
from emberline.cf.entries import Entries, read

_PORTION = 1 << 21  # ratings that are counted at a time
ACCOUNTS = pa.schema([("not_finite", pa.int64()), ("negative", pa.int64())])


def account(batches: Batches) -> Batches:
    """Columns row, term and value to ACCOUNTS: how many values are not finite, and how many are
    below zero.
    """
    for entries in read(batches):
        counts = (~np.isfinite(entries.values)).sum(), (entries.values < 0).sum()
        yield pa.record_batch([[count] for count in counts], schema=ACCOUNTS)


COUNTED = pa.schema(
    [("block", pa.int32()), ("ids", pa.binary()), ("counts", pa.binary()), ("total", pa.float64())]
)
COUNTS = pa.schema(
    [
        ("ids", pa.int64()),
        ("ratings", pa.int64()),
        ("total", pa.float64()),
        ("left_out", pa.int64()),
    ]
)


def count_ids(batches: Batches, num_blocks: int) -> Batches:
    """Columns id and value to COUNTED: how often each id of a block occurs, and the sum of its
    values.
    """
    for table in portions(batches, _PORTION):
        ids, values = (column.to_numpy() for column in table.columns)
        for block in np.unique(blocks := ids % num_blocks).tolist():
            is_in = blocks == block
            found, counts = np.unique(ids[is_in], return_counts=True)
            total = values[is_in].sum(dtype=np.float64)
            row = [[block], [found.tobytes()], [counts.tobytes()], [total]]
            yield pa.record_batch(row, schema=COUNTED)


def sum_counts(counted: Batches, limit: int | None) -> Batches:
    """All COUNTED of one block to a row of COUNTS; without a limit nothing is left out."""
    rows = list(rows_of(counted))
    if rows:
        ids = np.concatenate([np.frombuffer(row["ids"], np.int32) for row in rows])
        counts = np.concatenate([np.frombuffer(row["counts"], np.int64) for row in rows])
        _, places = np.unique(ids, return_inverse=True)
        each = np.bincount(places, counts).astype(np.int64)
        more = 0 if limit is None else int(np.maximum(each - limit, 0).sum())
        total = sum(row["total"] for row in rows)
        yield pa.record_batch([[len(each)], [each.sum()], [total], [more]], schema=COUNTS)


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
    """All PIECES of one of so many blocks of rows to one row of COMPRESSED: the rows in CSR."""
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
    yield encoded(
        number,
        compressed(np.flatnonzero(present) * blocks + number, cosine.lengths(matrix), matrix),
    )


def as_columns(blocks: Batches) -> Batches:
    """COMPRESSED of rows to one row of COMPRESSED: all of these rows as the columns of a matrix
    that has terms as rows.

    Those of most entries come first: the sums that a product adds to most are then side by side,
    and stay in the processor's nearest cache.
    """
    parts = [decoded(Compressed, row) for row in rows_of(blocks)]
    if parts:
        num_terms = max(map(terms_of, parts))
        stacked = sp.vstack(
            [matrix_of(part.values, part, len(part.ids), num_terms) for part in parts], format="csr"
        )
        order = np.argsort(-np.diff(stacked.indptr), kind="stable")
        ids, lengths = (
            np.concatenate([getattr(part, name) for part in parts])[order]
            for name in ("ids", "lengths")
        )
        yield encoded(0, compressed(ids, lengths, stacked[order].tocsc()))
