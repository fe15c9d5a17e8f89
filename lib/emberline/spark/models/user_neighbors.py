"""The model `user-neighbors`: an item's score is the sum of what similar users rated it, each times
their similarity (Herlocker et al. 1999, unnormalised). Of counts, the logarithm of 1 + count is
seen.
"""

from collections.abc import Iterator

from pyspark.sql import DataFrame

from emberline.models import USER_NEIGHBORS
from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig
from emberline.sections.recommend import RecommendConfig
from emberline.spark.cosine.packing import checked
from emberline.spark.cosine.search import neighbors
from emberline.spark.models.offers import Known, Pieces, Table
from emberline.spark.rated import Rated
from emberline.spark.scan import Scan
from emberline.spark.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, sparse_pieces


def pieces(known: Known) -> Pieces:
    """Users' similarities, and items' ratings."""
    (table,) = USER_NEIGHBORS.lists
    users = sparse_pieces(known.of_users(table), "user", "neighbor", "similarity", ROWS_PER_BLOCK)
    items = sparse_pieces(
        known.listed("ratings"),
        "item",
        "user",
        "value",
        COLUMNS_PER_BLOCK,
        damped=not known.has_ratings,
    )
    return users, items


def refit(run: StageRun[RecommendConfig], interactions: Scan) -> Iterator[Table]:
    """Neighbours by all interactions."""
    (table,) = USER_NEIGHBORS.lists
    settings = CosineConfig.model_validate(run.inputs.produced_by(table).config)
    config = checked(interactions, settings)
    found = neighbors(interactions, "user", "item", config)
    yield Table(table, found, seed=config.seed if config.max_ratings else None)


def predict(pairs: DataFrame, rated: Rated) -> DataFrame:
    """Columns user, item and predicted: from the nearest users who have rated the item."""
    (table,) = USER_NEIGHBORS.ratings
    return rated.by_neighbors(pairs, table, "user")
