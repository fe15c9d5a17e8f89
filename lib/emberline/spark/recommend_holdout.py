"""The stage recommend-holdout: the lists that metrics are of, for every user with a rating in the
holdout.

They are made as the published ones are, but from what training has seen: what was withheld is not
known, and may be recommended.
"""

from pyspark.sql import DataFrame, SparkSession

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.schema import TABLES
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.candidates import allowed
from emberline.spark.lists import full_lists
from emberline.spark.models.offers import Known
from emberline.spark.scan import Scan


def run(run: StageRun[RecommendConfig], spark: SparkSession) -> None:
    """Score, mix, fill up and write; also what may be recommended, where that is limited."""
    tables = {name: Scan.of(spark, run.inputs[name]) for name in run.inputs if name in TABLES}
    users = _measured(tables.pop("holdout").frame)
    items = allowed(run, spark)
    known = Known(tables, has_ratings(run.inputs["ratings"]), items, users)
    frames.write(full_lists(known, Scan(users), run), run, "holdout_recommendations")
    if items is not None:
        frames.write(items.sort("item"), run, "recommendable_items")


def _measured(holdout: DataFrame) -> DataFrame:
    """Column user: those of whom something is withheld besides whole items."""
    return holdout.where("not cold").select("user").distinct().persist()
