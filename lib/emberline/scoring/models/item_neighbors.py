"""The model `item-neighbors`: an item's score is the sum of its similarities to those of its own
neighbours that the user has rated, each times what they were rated (Sarwar et al. 2001,
unnormalised).

So do Deshpande and Karypis (2004) and LensKit; `implicit` sums over the neighbours of the items
that the user has rated, which docs/lists.md compares. Of counts, the logarithm of 1 + count is
seen.
"""

from collections.abc import Iterator

from emberline.flow.rows import Flow, Rows, Source
from emberline.models import ITEM_NEIGHBORS
from emberline.runs.stage_run import StageRun
from emberline.scoring.models.neighbors import refitted_neighbors
from emberline.scoring.models.offers import Known, Pieces, Table
from emberline.scoring.rated import Rated
from emberline.scoring.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, sparse_pieces
from emberline.sections.recommend import RecommendConfig


def pieces(known: Known) -> Pieces:
    """Users' ratings, and items' similarities."""
    (table,) = ITEM_NEIGHBORS.lists
    users = sparse_pieces(
        known.tables["ratings"],
        "user",
        "item",
        "value",
        ROWS_PER_BLOCK,
        damped=not known.has_ratings,
    )
    items = known.listed(table)
    similarities = sparse_pieces(items, "item", "neighbor", "similarity", COLUMNS_PER_BLOCK)
    return Pieces(users, similarities)


def refit(run: StageRun[RecommendConfig], flow: Flow) -> Iterator[Table]:
    """Neighbours by all interactions."""
    (table,) = ITEM_NEIGHBORS.lists
    yield refitted_neighbors(run, flow, table, "item", "user")


def predict(pairs: Source, rated: Rated) -> Rows:
    """From the nearest items that the user has rated."""
    (table,) = ITEM_NEIGHBORS.ratings
    return rated.by_neighbors(pairs, table, "item")
