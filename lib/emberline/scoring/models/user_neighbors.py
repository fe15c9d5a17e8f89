"""The model `user-neighbors`: an item's score is the sum of what similar users rated it, each times
their similarity (Herlocker et al. 1999, unnormalised). Of counts, the logarithm of 1 + count is
seen.
"""

from collections.abc import Iterator

from emberline.flow.rows import Flow, Rows, Source
from emberline.models import USER_NEIGHBORS
from emberline.runs.stage_run import StageRun
from emberline.scoring.models.neighbors import refitted_neighbors
from emberline.scoring.models.offers import Known, Pieces, Table
from emberline.scoring.rated import Rated
from emberline.scoring.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, sparse_pieces
from emberline.sections.recommend import RecommendConfig


def pieces(known: Known) -> Pieces:
    """Users' similarities, and items' ratings."""
    (table,) = USER_NEIGHBORS.lists
    users = sparse_pieces(known.tables[table], "user", "neighbor", "similarity", ROWS_PER_BLOCK)
    items = sparse_pieces(
        known.listed("ratings"),
        "item",
        "user",
        "value",
        COLUMNS_PER_BLOCK,
        damped=not known.has_ratings,
    )
    return Pieces(users, items)


def refit(run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
    """Neighbours by all interactions."""
    (table,) = USER_NEIGHBORS.lists
    yield refitted_neighbors(run, flow, table, "user", "item")


def predict(pairs: Source, rated: Rated) -> Rows:
    """From the nearest users who have rated the item."""
    (table,) = USER_NEIGHBORS.ratings
    return rated.by_neighbors(pairs, table, "user")
