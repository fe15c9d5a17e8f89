"""Ratings in blocks of rows and of columns, for cosine neighbours and what is predicted by them."""

from dataclasses import dataclass
from functools import partial

import pyarrow.compute as pc

from emberline.cf.cosine import compressed, packing
from emberline.cf.entries import PIECES, scatter
from emberline.errors import DataError
from emberline.flow.rows import Rows, Source
from emberline.sections.cosine import CosineConfig

# Ratings per block, 8 bytes each. Columns come in larger ones: a row's product with one block costs
# a visit to each of its terms. Rows do not come in smaller ones than memory asks for: all columns
# travel to every block of them.
RATINGS_PER_ROW_BLOCK, RATINGS_PER_COLUMN_BLOCK = 1 << 23, 1 << 24
_SMALL = 1 << 16  # ratings that are not worth a task of their own


@dataclass(frozen=True)
class Grid:
    """How many blocks of rows are multiplied with how many blocks of columns; the result does
    not depend on it.
    """

    rows: int
    columns: int

    @classmethod
    def of(cls, count: int, cores: int) -> "Grid":
        """Blocks of a bearable size, of so many ratings, and of rows enough for all cores."""
        rounds = max(1, -(-count // (RATINGS_PER_ROW_BLOCK * cores)))
        rows = max(min(rounds * cores, -(-count // _SMALL)), 1)
        return cls(rows, -(-count // RATINGS_PER_COLUMN_BLOCK) or 1)


def checked(ratings: Source, config: CosineConfig) -> CosineConfig:
    """The settings with the weighting that suits the values.

    Raises DataError for values that no cosine, or no weight, is defined for.
    """
    accounts = ratings.map(("user", "item", "value"), packing.account, packing.ACCOUNTS).table()
    wrong, negative = (pc.sum(accounts[name]).as_py() or 0 for name in ("not_finite", "negative"))
    if wrong:
        raise DataError(
            f"ratings: {wrong:,} values are not finite numbers; rerun prepare-ratings, which"
            " rejects them"
        )
    if negative and config.weighting not in ("auto", "none"):
        raise DataError(
            f"ratings: {negative:,} values are below 0, which cosine.weighting ="
            f' "{config.weighting}" is not made for: reject them by ratings.min_value, or use'
            ' weighting = "none"'
        )
    return config.weighted(has_negative=negative > 0)


def columns_of(rows: Rows, blocks: int) -> Rows:
    """All rows of COMPRESSED as columns, in so many blocks of their own, whose names begin with
    RIGHT.
    """
    columns = rows.together(blocks).map(packing.as_columns, compressed.COMPRESSED).kept()
    names = {compressed.RIGHT + name: name for name in compressed.COMPRESSED.names}
    return columns.select(names)


@dataclass(frozen=True)
class Counts:
    """How many ids one side has, how many ratings there are, what their values come to, and how
    many ratings a cap per id leaves out.
    """

    ids: int
    ratings: int
    total: float
    left_out: int


def count(ratings: Source, side: str, blocks: int, limit: int | None = None) -> Counts:
    """Of ratings by the ids of a side, with at most `limit` each."""
    scatter = partial(packing.count_ids, num_blocks=blocks)
    pieces = ratings.map((side, "value"), scatter, packing.COUNTED)
    task = partial(packing.sum_counts, limit=limit)
    found = pieces.together(blocks).map(task, packing.COUNTS).table()
    return Counts(*(pc.sum(found[name]).as_py() or 0 for name in packing.COUNTS.names))


def pack(ratings: Source, side: str, other: str, config: CosineConfig, blocks: int) -> Rows:
    """COMPRESSED of the rows of `side`, weighted, in so many parts, a block in each."""
    config = config.weighted()
    counts = count(ratings, side, blocks) if config.weighting != "none" else None
    num_rows = counts.ids if counts else None
    average = (counts.total or 1) / (counts.ids or 1) if counts else 1.0
    terms = packing.Terms(config.center == other, config.max_ratings, num_rows, config.seed)
    rows = packing.Rows(config.center == side, config.weighting, average)
    by = "columns" if terms.is_needed else "rows"
    pieces = ratings.map((side, other, "value"), partial(scatter, num_blocks=blocks, by=by), PIECES)
    if terms.is_needed:
        prepare = partial(packing.prepare_terms, blocks=blocks, terms=terms, row_blocks=blocks)
        pieces = pieces.together(blocks).map(prepare, PIECES)
    task = partial(packing.prepare_rows, blocks=blocks, rows=rows)
    return pieces.together(blocks).map(task, compressed.COMPRESSED)
