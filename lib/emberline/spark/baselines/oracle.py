"""Factors of new items that their withheld ratings themselves give: no model ranks better."""

from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.datasets.cleaned import has_ratings
from emberline.datasets.facts import Values
from emberline.factors.fold_in import fold_in_items
from emberline.models import ALS
from emberline.runs.stage_run import StageRun
from emberline.sections.als import AlsConfig
from emberline.spark.flow import SparkFlow, SparkSource, frame_of
from emberline.spark.scan import Scan


def oracle(run: StageRun[Any], users: DataFrame, holdout: DataFrame) -> DataFrame:
    """Columns item and factors of the cold items of `holdout`, solved from their ratings as
    train-als had, by the settings that the users' factors were fitted with.
    """
    fitted = run.inputs[ALS.lists[0]].manifest
    # of a fit that only folded users in, the manifest leaves out what it began from
    settings = AlsConfig.model_validate(fitted.produced_by.config | {"iterations": 1})
    config = settings.for_lists(has_ratings(run.inputs["ratings"]))
    ratings = holdout.where(F.col("cold")).join(users.select("user"), "user", "left_semi")
    if ratings.isEmpty():  # of newcomers alone, who have no factors
        return users.limit(0).withColumnRenamed("user", "item")
    rated, factors = SparkSource(Scan(ratings)), SparkSource(Scan(users))
    known, flow = fitted.facts(Values), SparkFlow(users.sparkSession)
    folded = fold_in_items(flow, rated, factors, config, known, run.outputs.scratch)
    return frame_of(folded)
