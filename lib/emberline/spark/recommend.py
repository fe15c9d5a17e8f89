"""The stage recommend: every user's top-k of items they have not rated, each row with the rung of the ladder it comes from.

The first rung is the configured model; users it has no (or not enough) answers for get what is popular. For a user's row of
factors or history `left` and the items' rows `right`, every model's score is `left @ right.T`:

    als             user factors            item factors
    item-neighbors  the user's ratings      each item's similarity to its neighbours (Sarwar et al. 2001, unnormalised)
    user-neighbors  similarity to users     each item's ratings by those users (Herlocker et al. 1999, unnormalised)
    popular         1                       number of ratings
"""

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.config import RecommendConfig
from emberline.errors import EmptyDatasetError
from emberline.runner import StageRun
from emberline.spark import frames
from emberline.spark.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, dense_blocks, sparse_blocks, top_products

POPULAR = "popular"


def run(run: StageRun, spark: SparkSession) -> None:
    """Score, fill up and write."""
    config: RecommendConfig = run.settings
    tables = {name: frames.read(spark, dataset) for name, dataset in run.inputs.items()}
    ratings, users = tables["ratings"].persist(), tables["users"]
    left, right = model_blocks(config.model, tables)
    best = top_unseen(left, right, ratings.select("user", "item"), config.top_k)
    best = best.withColumn("rung", F.lit(config.model)).persist()
    filled = best.unionByName(fill_up(best, users, ratings, config.top_k))
    written = frames.write(filled.repartition("user").sortWithinPartitions("user", "rank"), run, "recommendations")
    if written.rows == 0:
        raise EmptyDatasetError("there is nothing to recommend: every user has rated every item")


def model_blocks(model: str, tables: dict[str, DataFrame]) -> tuple[DataFrame, DataFrame]:
    """Blocks of users and of items whose product is the model's score."""
    ratings = tables["ratings"]
    if model == "als":
        left = dense_blocks(tables["user_factors"], "user", ROWS_PER_BLOCK)
        return left, dense_blocks(tables["item_factors"], "item", COLUMNS_PER_BLOCK)
    if model == "item-neighbors":
        left = sparse_blocks(ratings, "user", "item", "value", ROWS_PER_BLOCK)
        return left, sparse_blocks(tables["item_neighbors"], "item", "neighbor", "similarity", COLUMNS_PER_BLOCK)
    left = sparse_blocks(tables["user_neighbors"], "user", "neighbor", "similarity", ROWS_PER_BLOCK)
    return left, sparse_blocks(ratings, "item", "user", "value", COLUMNS_PER_BLOCK)


def top_unseen(left: DataFrame, right: DataFrame, seen: DataFrame, top_k: int, random_seed: int | None = None) -> DataFrame:
    """Columns user, item, score and rank: each user's best items but those in `seen` (user, item)."""
    excluded = sparse_blocks(seen, "user", "item", None, ROWS_PER_BLOCK)
    best = top_products(left, excluded, right, top_k, random_seed)
    return best.withColumnsRenamed({"row": "user", "column": "item"})


def fill_up(best: DataFrame, users: DataFrame, ratings: DataFrame, top_k: int) -> DataFrame:
    """Popular items on the ranks that `best` leaves free, neither seen nor recommended already."""
    given = best.groupBy("user").agg(F.count("*").cast("int").alias("_given"))
    short = users.select("user").join(given, "user", "left").fillna(0, ["_given"]).where(F.col("_given") < top_k).persist()
    taken = ratings.select("user", "item").unionByName(best.select("user", "item")).join(short, "user", "left_semi")
    popular = top_unseen(constant_blocks(short), popularity_blocks(popularity(ratings)), taken, top_k)
    ranked = popular.join(short, "user").withColumn("rank", F.col("rank") + F.col("_given")).where(F.col("rank") <= top_k)
    return ranked.drop("_given").withColumn("rung", F.lit(POPULAR))


def constant_blocks(users: DataFrame) -> DataFrame:
    """Blocks of users with the one factor 1, so that every user's scores are the items' own."""
    return dense_blocks(users.select("user", F.array(F.lit(1.0).cast("float")).alias("factors")), "user", ROWS_PER_BLOCK)


def popularity_blocks(items: DataFrame) -> DataFrame:
    """Blocks of items whose one factor is their popularity."""
    return dense_blocks(items.select("item", F.array("popularity").alias("factors")), "item", COLUMNS_PER_BLOCK)


def popularity(ratings: DataFrame) -> DataFrame:
    """Columns item and popularity: its number of ratings."""
    return ratings.groupBy("item").agg(F.count("*").cast("float").alias("popularity"))
