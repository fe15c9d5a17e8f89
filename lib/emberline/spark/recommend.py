"""The stage recommend: every user's top-k of items that are not among their interactions, each row
with the model it is by.

What is published is made from all that is known: by the refitted tables of the model where training
has withheld something, and without any interaction of the user's own.
"""

from pyspark.sql import SparkSession

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.models import MODELS, refitted
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.candidates import allowed
from emberline.spark.lists import full_lists, most_popular
from emberline.spark.models.offers import Known
from emberline.spark.scan import Scan


def run(run: StageRun[RecommendConfig], spark: SparkSession) -> None:
    """Score, mix, fill up and write."""
    known = _known(run, spark)
    lists = full_lists(known, Scan.of(spark, run.inputs["users"]), run)
    if frames.write(lists, run, "recommendations").rows == 0:
        raise EmptyDatasetError(
            "there is nothing to recommend: what may be is unknown to the model, or rated by every"
            " user"
        )
    popular = most_popular(known.tables["ratings"], run.settings.top_k, known.items)
    frames.write(popular, run, "popular_items")


def _known(run: StageRun[RecommendConfig], spark: SparkSession) -> Known:
    """What is known today, by the names that models have for it."""
    given = {"interactions": "ratings"}
    given |= {refitted(name): name for name in MODELS[run.settings.model].lists}
    tables = {
        given.get(name, name): Scan.of(spark, run.inputs[name])
        for name in run.inputs
        if name in TABLES
    }
    return Known(tables, has_ratings(run.inputs["interactions"]), allowed(run, spark))
