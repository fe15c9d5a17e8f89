"""What models have seen in training must not be what they are measured by."""

from functools import partial

from emberline.cf import twice
from emberline.cf.entries import PIECES
from emberline.cf.pieces import scatter_sparse
from emberline.cf.twice import HELD, PAIRS, TRAINED
from emberline.errors import DataError
from emberline.flow.rows import Flow, Rows, Source
from emberline.scoring.topk import ROWS_PER_BLOCK


def check(flow: Flow, ratings: Source, holdout: Source) -> None:
    """Raises DataError where a pair of user and item is both trained on and held out."""
    pieces = _pieces(ratings, TRAINED).union(_pieces(holdout, HELD))
    together = pieces.together(flow.parts, order=("block",))
    found = together.map(twice.in_both, PAIRS).table().sort_by("user").slice(0, 1).to_pylist()
    for pair in found:
        raise DataError(
            f"user {pair['user']} and item {pair['item']} (as indices) are in ratings and in"
            " holdout: what a model was trained on says nothing of how good it is; run"
            " split-ratings and what follows again, with --force"
        )


def _pieces(source: Source, kind: str) -> Rows:
    task = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=kind)
    return source.map(("user", "item"), task, PIECES)
