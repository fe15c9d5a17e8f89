"""The stage train-als: factors of users and items by alternating least squares (MLlib's, for now).

Explicit feedback is ALS-WR (Zhou et al. 2008): squared error of the known ratings. Implicit feedback is Hu, Koren and Volinsky
(2008): preference 1 where there was an event, 0 elsewhere, with confidence `c = 1 + alpha * value`, or
`c = 1 + alpha * log(1 + value)` (their equation 6 with epsilon = 1). In both, MLlib multiplies the regularisation of a row by its
number of ratings, as Zhou et al. do and Hu et al. do not.
"""

from pyspark.ml.recommendation import ALS
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.config import AlsConfig
from emberline.datasets import storage
from emberline.runner import StageRun
from emberline.spark import frames


def run(run: StageRun, spark: SparkSession) -> None:
    """Fit and write both sides' factors."""
    config: AlsConfig = run.settings
    ratings = frames.read(spark, run.inputs["ratings"])
    spark.sparkContext.setCheckpointDir(storage.spark_uri(run.scratch))
    model = _solver(config, run.config.is_implicit).fit(weigh(ratings, config))
    for side in ("user", "item"):
        factors = getattr(model, f"{side}Factors").select(F.col("id").alias(side), F.col("features").alias("factors"))
        frames.write(factors.sortWithinPartitions(side), run, f"{side}_factors", rank=config.rank, seed=config.seed)


def weigh(ratings: DataFrame, config: AlsConfig) -> DataFrame:
    """The ratings whose `value` is what alpha multiplies."""
    return ratings if config.confidence == "linear" else ratings.withColumn("value", F.log1p("value").cast("float"))


def _solver(config: AlsConfig, implicit: bool) -> ALS:
    return ALS(
        userCol="user",
        itemCol="item",
        ratingCol="value",
        rank=config.rank,
        maxIter=config.iterations,
        regParam=config.reg_param,
        alpha=config.alpha,
        implicitPrefs=implicit,
        nonnegative=config.nonnegative,
        seed=config.seed,
        numUserBlocks=config.blocks,
        numItemBlocks=config.blocks,
        checkpointInterval=10,
    )
