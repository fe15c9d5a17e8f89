"""Ratings packed into blocks of rows, as Spark's workers do it.

An id belongs to block `id % blocks`, so that blocks are even whatever the order of ids means.
"""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from emberline.cf.blocks import rows_of
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

ACCOUNTS = pa.schema([("not_finite", pa.int64()), ("negative", pa.int64())])


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
    """
    parts = [decoded(Compressed, row) for row in rows_of(blocks)]
    if parts:
        num_terms = max(map(terms_of, parts))
        stacked = sp.vstack(
            [matrix_of(part.values, part, len(part.ids), num_terms) for part in parts], format="csr"
        )
        ids, lengths = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("ids", "lengths")
        )
        yield encoded(0, compressed(ids, lengths, stacked.tocsc()))
