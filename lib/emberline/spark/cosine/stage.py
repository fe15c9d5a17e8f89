"""The stage train-cosine: each item's and each user's most similar ones, by the cosine of their
columns and rows of ratings.

What is computed is in cf/cosine/. NumPy packs ratings into blocks of rows, each a few large rows of
Spark's, and blocks of rows are multiplied with blocks of columns. No machine holds the whole
matrix; of vectors as long as a side there is one, in a block of columns: where the entries of each
term begin.
What concerns all ratings of a term (a cap, its mean, its frequency) is done in blocks of terms,
before blocks of rows are made.
"""

import logging

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.facts import Capped, merged
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig
from emberline.spark import frames
from emberline.spark.cosine.packing import checked
from emberline.spark.cosine.search import neighbors
from emberline.spark.scan import Scan

log = logging.getLogger(__name__)
_SAMPLE = 200  # rows, about, whose exact neighbours are found to say what a cap costs


def run(run: StageRun[CosineConfig], spark: SparkSession) -> None:
    """Write the neighbours of each configured side."""
    ratings = Scan.of(spark, run.inputs["ratings"])
    config = checked(ratings, run.settings)
    for side, other in (("item", "user"), ("user", "item")):
        if f"{side}s" not in config.sides:
            continue
        name = f"{side}_neighbors"
        found = neighbors(ratings, side, other, config)
        left_out = ratings_left_out(ratings.frame, other, config.max_ratings)
        facts: list[Capped] = []
        if left_out:
            found = frames.checkpoint(found, run, name)
            facts = [Capped(left_out, *recall(ratings, side, other, config, found))]
            told = merged(facts)
            log.info(event("ratings_capped", dataset=name, max_ratings=config.max_ratings, **told))
            run.outputs.measure(**{name: told})
        frames.write(found, run, name, *facts, seed=config.seed if left_out else None)


def ratings_left_out(ratings: DataFrame, term: str, limit: int | None) -> int:
    """How many ratings a cap leaves out."""
    if limit is None:
        return 0
    more = (
        ratings.groupBy(term)
        .agg((F.count("*") - limit).alias("more"))
        .where("more > 0")
        .agg(F.sum("more"))
        .first()
    )
    return int(more[0] or 0) if more else 0


def recall(
    ratings: Scan, side: str, other: str, config: CosineConfig, found: DataFrame
) -> tuple[float | None, int]:
    """What share of the exact neighbours of some rows, chosen by hash, is among those found
    under the cap, and of how many rows.
    """
    one_in = -(-ratings.frame.select(side).distinct().count() // _SAMPLE)
    exact = neighbors(
        ratings, side, other, config.model_copy(update={"max_ratings": None}), one_in=one_in
    )
    both = exact.join(
        found.select(side, "neighbor", F.lit(1).alias("_found")), [side, "neighbor"], "left"
    )
    wanted, hits, rows = both.agg(
        F.count("*"), F.count("_found"), F.countDistinct(side)
    ).first() or (0, 0, 0)
    return hits / wanted if wanted else None, rows
