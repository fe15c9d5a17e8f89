"""Factors of new items by the pictures that are most like theirs."""

from functools import partial

from emberline.cf import plain
from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_dense
from emberline.cf.plain import FACTORS, LENT, NEAR, PREDICTED
from emberline.flow.rows import Rows
from emberline.scoring.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, top_products

_NEIGHBORS = 10


def neighbor_means(known: Rows, column: str, model: str) -> Rows:
    """PREDICTED: of each tested item, the mean factors of the nearest items in training by
    cosine, by a column of lists of length 1.
    """
    parts = known.flow.parts
    left = _pieces(known, column, True, ROWS_PER_BLOCK)
    best = top_products(left, _pieces(known, column, False, COLUMNS_PER_BLOCK), _NEIGHBORS)
    near = best.map(plain.likenesses, NEAR).union(known.map(plain.lenders, NEAR))
    lent = near.together(parts).map(plain.lend, LENT).together(parts)
    return lent.map(partial(plain.average, model=model), PREDICTED)


def _pieces(known: Rows, column: str, is_of_tested: bool, block_size: int) -> Rows:
    chosen = partial(plain.directions, column=column, is_of_tested=is_of_tested)
    return known.map(chosen, FACTORS).map(partial(scatter_dense, block_size=block_size), PIECES)
