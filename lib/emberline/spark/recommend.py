"""The stage recommend: every user's top-k of items they have not rated, each row with the model it
is by.

The lists of models are mixed, and users who have no list, or too short a one, get what is popular.
For a user's row of factors or history `left` and the items' rows `right`, every model's score is
`left @ right.T`: see `spark/models/`.
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.models import MODELS, Model
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.candidates import allowed
from emberline.spark.lists import fill_up, mix, most_popular, top_unseen
from emberline.spark.models.offers import Known, answering, pieces_of
from emberline.spark.scan import Scan


def run(run: StageRun[RecommendConfig], spark: SparkSession) -> None:
    """Score, mix, fill up and write."""
    config = run.settings
    tables = {
        name: Scan.of(spark, dataset) for name, dataset in run.inputs.items() if name in TABLES
    }
    ratings, users = tables["ratings"], tables["users"].frame
    items = allowed(run, spark)
    known = Known(tables, has_ratings(run.inputs["ratings"]), items)
    best = frames.checkpoint(mixed(config, known), run, "best")
    is_full = best.count() == config.top_k * run.inputs["users"].rows
    filled = (
        best
        if is_full
        else best.unionByName(fill_up(best, users, ratings.frame.persist(), config.top_k, items))
    )
    written = frames.write(
        filled.repartition("user").sortWithinPartitions("user", "rank"), run, "recommendations"
    )
    if written.rows == 0:
        raise EmptyDatasetError(
            "there is nothing to recommend: what may be is unknown to the model, or rated by every"
            " user"
        )
    frames.write(most_popular(ratings, config.top_k, items), run, "popular_items")
    if items is not None:
        frames.write(items.sort("item"), run, "recommendable_items")


def mixed(config: RecommendConfig, known: Known) -> DataFrame:
    """The configured model's lists, with those of the models that rank items without ratings."""
    new = answering(MODELS.values(), "new_items", known.tables)
    lists = [(best_by(MODELS[config.model], config, known), 0.0)]
    lists += [(best_by(model, config, known), config.cold_share / len(new)) for model in new]
    return mix(lists, config.top_k)


def best_by(model: Model, config: RecommendConfig, known: Known) -> DataFrame:
    """Columns user, item, score, rank and model: one model's lists."""
    best = top_unseen(*pieces_of(model, known), known.tables["ratings"], config.top_k)
    return best.withColumn("model", F.lit(model.name))
