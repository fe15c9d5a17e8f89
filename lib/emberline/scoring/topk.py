"""Top-k of a product of two matrices too large for one machine: blocks of rows against blocks of
columns.

The same product serves recommendations (users' factors or histories against items) and the nearest
pictures (features against features). Blocks are cut by dense index, never by part, so that the
result does not depend on the number of parts.
"""

from dataclasses import dataclass
from functools import partial

import pyarrow.compute as pc

from emberline.cf import pieces, scoring
from emberline.cf.entries import PIECES
from emberline.cf.pieces import EXCLUDED, SPARSE, scatter_dense, scatter_sparse
from emberline.datasets.rows import through
from emberline.flow.rows import Cells, Rows, Source

ROWS_PER_BLOCK = 2048
COLUMNS_PER_BLOCK = 4096
BYTES_PER_GROUP = 64 << 20  # of right blocks, which a task keeps


def dense_pieces(factors: Source, id_column: str, block_size: int) -> Rows:
    """PIECES of rows (id, factors), to be assembled to blocks of so many ids."""
    task = partial(scatter_dense, block_size=block_size)
    return factors.map((id_column, "factors"), task, PIECES)


def user_pieces(factors: Source) -> Rows:
    """PIECES of rows (user, factors)."""
    return dense_pieces(factors, "user", ROWS_PER_BLOCK)


def item_pieces(factors: Source) -> Rows:
    """PIECES of rows (item, factors)."""
    return dense_pieces(factors, "item", COLUMNS_PER_BLOCK)


def sparse_pieces(
    entries: Source,
    row: str,
    column: str,
    value: str | None,
    block_size: int,
    kind: str = SPARSE,
    damped: bool = False,
) -> Rows:
    """PIECES of a sparse matrix given by its entries; without a `value`, of its places only; if
    `damped`, of log(1 + value).
    """
    columns = (row, column) if value is None else (row, column, value)
    task = partial(scatter_sparse, block_size=block_size, kind=kind, damped=damped)
    return entries.map(columns, task, PIECES)


def excluded_pieces(seen: Source) -> Rows:
    """PIECES of the pairs (user, item) that are no candidates."""
    return sparse_pieces(seen, "user", "item", None, ROWS_PER_BLOCK, EXCLUDED)


def top_products(
    left: Rows,
    right: Rows,
    k: int,
    only_wanted: bool = False,
) -> Rows:
    """Columns row, column, score and rank: the k largest of each row of `left @ right.T`, but for
    the pairs that are excluded.

    left: PIECES by ROWS_PER_BLOCK, dense or sparse, those of kind EXCLUDED among them, and with
    `only_wanted` those of kind WANTED, which say whose lists are asked for; right: the same by
    COLUMNS_PER_BLOCK. Ties go to the smaller column.

    """
    cells = in_cells(left, right)
    score = partial(scoring.score_cell, k=k, only_wanted=only_wanted)
    merge = partial(scoring.merge_lists, k=k)
    if cells.groups == 1:
        return cells.rows.map(partial(through, tasks=(score, merge)), scoring.BEST)
    lists = cells.rows.map(score, scoring.LISTS)
    together = lists.together(left.flow.parts, order=("block",))
    return together.map(merge, scoring.BEST)


def pair_products(left: Rows, right: Rows) -> Rows:
    """PREDICTED: of pairs, which are of kind PAIRS in `left`, the products of their rows of `left`
    and of `right`, dense PIECES as `top_products` takes them.
    """
    return in_cells(left, right).rows.map(scoring.pair_products, scoring.PREDICTED)


@dataclass(frozen=True)
class InCells:
    """Every left block beside every right one: `rows`, of which a task has the right ones first,
    and how many `groups` these are cut into.
    """

    rows: Rows
    groups: int


def in_cells(left: Rows, right: Rows) -> InCells:
    """Blocks meet in the cells of a grid, in each of which a task keeps a group of right blocks,
    and left blocks pass them.
    """
    kept, parts = right.kept(), left.flow.parts
    groups = -(-_bytes(kept) // BYTES_PER_GROUP) or 1
    lefts = left.in_cells(Cells(parts, groups, 1, groups), is_left=True)
    rights = kept.in_cells(Cells(groups, 1, groups, parts), is_left=False)
    cells = lefts.union(rights).together(parts * groups, "cell", ("is_left", "block"))
    return InCells(cells, groups)


def _bytes(rows: Rows) -> int:
    found = rows.map(pieces.sizes, pieces.SIZES).table()
    return pc.sum(found["bytes"]).as_py() or 0
