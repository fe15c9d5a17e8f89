"""The stage train-baselines: simpler answers than the models' to how items rank that nobody has
rated, each as factors of those items, and the bound that none can reach.

    mean-factors          the mean of the items in training: the same for all
    oracle                the factors that the withheld ratings themselves give, the users' being
                          as they are

and, where the catalogue has pictures,

    neighbors-pixels      the mean factors of the ten items in training whose pictures are most
                          alike, averaged over squares
    neighbors-histogram   the same, alike by their colours
    linear-pixels         a ridge regression on the averaged pixels, its strength chosen on the
                          validation items
    linear-histogram      the same, on the square roots of the colours' shares
    kernel-histogram      the same, on how like these are to those of some items in training (see
                          cf/kernels)
"""

from collections.abc import Mapping
from functools import partial, reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.facts import Pictures
from emberline.images import tasks as image_tasks
from emberline.models import ALS, MEAN_FACTORS, NEIGHBORS_HISTOGRAM, NEIGHBORS_PIXELS, ORACLE
from emberline.runs.stage_run import StageRun
from emberline.sections.evaluate import EvaluateConfig
from emberline.spark import frames
from emberline.spark.baselines.neighbors import neighbor_means
from emberline.spark.baselines.oracle import oracle
from emberline.spark.baselines.regression import regressed
from emberline.spark.frames import spark_schema

Tables = Mapping[str, DataFrame]
PICTURES = "shards_all"


def run(run: StageRun[EvaluateConfig], spark: SparkSession) -> None:
    """Fit each baseline and write the factors that it gives to the items withheld whole."""
    tables = {name: frames.read(spark, dataset) for name, dataset in run.inputs.items()}
    items = tables["holdout"].where(F.col("cold")).select("item").distinct()
    rank = run.inputs[ALS.lists[1]].manifest.rank or 0
    if PICTURES in tables:
        features = frames.checkpoint(_features(run, tables[PICTURES]), run, "features")
        items = features.where("split = 'test'").select("item")
        warm = _warm(tables, features)
        answers = _by_pictures(run, tables, features, warm)
    else:
        warm, answers = tables[ALS.lists[1]], []
    answers += [
        _named(MEAN_FACTORS.name, items.crossJoin(_mean(warm, rank))),
        _named(ORACLE.name, oracle(run, tables[ALS.lists[0]], tables["holdout"])),
    ]
    every = reduce(DataFrame.unionByName, answers)
    frames.write(every.sort("model", "item"), run, "baseline_factors", rank=rank)


def _features(run: StageRun[Any], pictures: DataFrame) -> DataFrame:
    """FEATURES of the pictures that are for training, choosing or testing."""
    shape = run.inputs[PICTURES].manifest.facts(Pictures).shape
    wanted = pictures.select("item", "split", "pixels").where("split <> 'none'")
    return wanted.mapInArrow(
        partial(image_tasks.plain_features, shape=shape), spark_schema(image_tasks.FEATURES)
    )


def _warm(tables: Tables, features: DataFrame) -> DataFrame:
    """Columns item and factors of the items in training that have a picture."""
    known = features.where("split <> 'test'").select("item")
    return tables[ALS.lists[1]].join(known, "item", "left_semi").persist()


def _by_pictures(
    run: StageRun[Any], tables: Tables, features: DataFrame, warm: DataFrame
) -> list[DataFrame]:
    """Columns model, item and factors, by pictures that are alike and by regressions on them."""
    found = regressed(features, warm, tables["ratings"])
    return [
        _named(NEIGHBORS_PIXELS.name, neighbor_means(features, "pixel_direction", warm)),
        _named(NEIGHBORS_HISTOGRAM.name, neighbor_means(features, "colour_direction", warm)),
        frames.checkpoint(found, run, "regressed"),
    ]


def _named(name: str, factors: DataFrame) -> DataFrame:
    return factors.select(F.lit(name).alias("model"), "item", "factors")


def _mean(factors: DataFrame, rank: int) -> DataFrame:
    means = [F.avg(F.get("factors", i)).cast("float") for i in range(rank)]
    return factors.agg(F.array(*means).alias("factors"))
