"""The stage train-cosine: each item's and each user's most similar ones, by the cosine of their columns and rows of ratings.

    similarity(i, j) = sum_u r_ui r_uj / (|r_i| |r_j|)

Rows of length one are cut into blocks, and blocks multiplied with blocks: no machine holds the whole matrix.
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.config import CosineConfig
from emberline.runner import StageRun
from emberline.spark import frames
from emberline.spark.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, sparse_blocks, top_products


def run(run: StageRun, spark: SparkSession) -> None:
    """Write the neighbours of each configured side."""
    config: CosineConfig = run.settings
    ratings = frames.read(spark, run.inputs["ratings"])
    if "items" in config.sides:
        frames.write(neighbors(ratings, "item", "user", config.top_k), run, "item_neighbors")
    if "users" in config.sides:
        frames.write(neighbors(ratings, "user", "item", config.top_k), run, "user_neighbors")


def neighbors(ratings: DataFrame, side: str, other: str, top_k: int) -> DataFrame:
    """Columns `side`, neighbor and similarity: up to `top_k` with positive similarity each, none of them itself."""
    rows = normalize(ratings, side)
    itself = rows.select(side, F.col(side).alias("neighbor")).distinct()
    left = sparse_blocks(rows, side, other, "value", ROWS_PER_BLOCK)
    right = sparse_blocks(rows, side, other, "value", COLUMNS_PER_BLOCK)
    best = top_products(left, sparse_blocks(itself, side, "neighbor", None, ROWS_PER_BLOCK), right, top_k)
    return best.select(F.col("row").alias(side), F.col("column").alias("neighbor"), F.col("score").alias("similarity"))


def normalize(ratings: DataFrame, side: str) -> DataFrame:
    """The ratings with each row of `side` divided by its Euclidean length; rows of zeros are left out."""
    lengths = ratings.groupBy(side).agg(F.sqrt(F.sum(F.col("value").cast("double") ** 2)).alias("_length")).where("_length > 0")
    return ratings.join(lengths, side).withColumn("value", (F.col("value") / F.col("_length")).cast("float")).drop("_length")
