"""The stage refit: the model of the published lists, fitted once more to all interactions, also to
those that were withheld from training.

Metrics are of the model in training. This one has its settings, begins where it ended, and has seen
everything: the newest days, whole items, and the ratings by which it was chosen and measured.
"""

from pyspark.sql import SparkSession

from emberline.models import MODELS, refitted
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.models.offers import refit_of
from emberline.spark.scan import Scan


def run(run: StageRun[RecommendConfig], spark: SparkSession) -> None:
    """Write each table that the model makes lists from."""
    interactions = Scan.of(spark, run.inputs["interactions"])
    for table in refit_of(MODELS[run.settings.model], run, interactions):
        name = refitted(table.name)
        frames.write(table.rows, run, name, *table.facts, rank=table.rank, seed=table.seed)
