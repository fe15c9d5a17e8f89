"""The stage recommend: every user's top-k of items they have not rated, each row with the model
it is by.

Most are by the configured model; users it has no (or not enough) answers for get what is
popular. For a user's row of factors or history `left` and the items' rows `right`, every model's
score is `left @ right.T`:

    als             user factors            item factors
    cnn             user factors            factors predicted from pictures, of items without ratings
    item-neighbors  the user's ratings      each item's similarity to its neighbours (Sarwar et al. 2001, unnormalised)
    user-neighbors  similarity to users     each item's ratings by those users (Herlocker et al. 1999, unnormalised)
    popular         1                       number of ratings

Of counts, both kinds of neighbours see the logarithm of 1 + count. By item-neighbors, an item's
score is the sum over those of its own neighbours that the user has rated, as in Deshpande and
Karypis (2004) and LensKit; `implicit` sums over the neighbours of the items that the user has
rated, which docs/lists.md compares.
"""

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cf.pieces import EXCLUDED
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.candidates import allowed, within
from emberline.spark.scan import Scan
from emberline.spark.topk import (
    COLUMNS_PER_BLOCK,
    ROWS_PER_BLOCK,
    dense_pieces,
    sparse_pieces,
    top_products,
)

POPULAR = "popular"
COLD = "cnn"


def run(run: StageRun[RecommendConfig], spark: SparkSession) -> None:
    """Score, fill up and write."""
    config = run.settings
    tables = {
        name: Scan.of(spark, dataset) for name, dataset in run.inputs.items() if name in TABLES
    }
    ratings, users = tables["ratings"], tables["users"].frame
    items = allowed(run, spark)
    left, right = model_pieces(config.model, tables, run.config.has_ratings, items)
    best = top_unseen(left, right, ratings, config.top_k).withColumn("model", F.lit(config.model))
    if "predicted_factors" in tables:
        unrated = tables["predicted_factors"].frame.join(
            tables["item_factors"].frame, "item", "left_anti"
        )
        fresh = top_unseen(left, item_pieces(within(Scan(unrated), items)), ratings, config.top_k)
        best = mix(best, fresh.withColumn("model", F.lit(COLD)), config.top_k, config.cold_share)
    best = frames.checkpoint(best, run, "best")
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


def model_pieces(
    model: str, tables: dict[str, Scan], has_ratings: bool, items: DataFrame | None = None
) -> tuple[DataFrame, DataFrame]:
    """PIECES of users and of items whose product is the model's score; only of those in `items`
    (item), if given.

    `has_ratings` says that values are ratings; else they are counts, some of which may be thousands
    of times as large as others.
    """
    ratings = tables["ratings"]
    if model == "als":
        return user_pieces(tables["user_factors"]), item_pieces(
            within(tables["item_factors"], items)
        )
    if model == "item-neighbors":
        left = sparse_pieces(
            ratings, "user", "item", "value", ROWS_PER_BLOCK, damped=not has_ratings
        )
        neighbors = within(tables["item_neighbors"], items)
        return left, sparse_pieces(neighbors, "item", "neighbor", "similarity", COLUMNS_PER_BLOCK)
    left = sparse_pieces(tables["user_neighbors"], "user", "neighbor", "similarity", ROWS_PER_BLOCK)
    return left, sparse_pieces(
        within(ratings, items), "item", "user", "value", COLUMNS_PER_BLOCK, damped=not has_ratings
    )


def user_pieces(factors: Scan) -> DataFrame:
    """PIECES of rows (user, factors)."""
    return dense_pieces(factors, "user", ROWS_PER_BLOCK)


def item_pieces(factors: Scan) -> DataFrame:
    """PIECES of rows (item, factors)."""
    return dense_pieces(factors, "item", COLUMNS_PER_BLOCK)


def top_unseen(
    left: DataFrame, right: DataFrame, seen: Scan, top_k: int, random_seed: int | None = None
) -> DataFrame:
    """Columns user, item, score and rank: each user's best items but those in `seen` (user,
    item).
    """
    excluded = sparse_pieces(seen, "user", "item", None, ROWS_PER_BLOCK, EXCLUDED)
    best = top_products(left.unionByName(excluded), right, top_k, random_seed)
    return best.withColumnsRenamed({"row": "user", "column": "item"})


def mix(warm: DataFrame, cold: DataFrame, top_k: int, cold_share: float) -> DataFrame:
    """The best `top_k` of two lists of user, item, score, rank and model; `cold_share` of the places
    go to the cold list.

    Half a place counts as one. Where the cold list is shorter than its places, the warm one takes
    them.
    """
    # 50 times 0.29 is a little less than 14.5
    reserved = F.col("rank") <= int(top_k * cold_share + 0.5 + 1e-9)
    both = warm.withColumn("_kept", F.lit(False)).unionByName(cold.withColumn("_kept", reserved))
    user = Window.partitionBy("user")
    chosen = both.withColumn(
        "_place", F.row_number().over(user.orderBy(F.desc("_kept"), F.desc("score"), "item"))
    )
    ranked = chosen.where(F.col("_place") <= top_k).withColumn(
        "rank", F.row_number().over(user.orderBy(F.desc("score"), "item"))
    )
    return ranked.select("user", "item", "score", "rank", "model")


def fill_up(
    best: DataFrame,
    users: DataFrame,
    ratings: DataFrame,
    top_k: int,
    items: DataFrame | None = None,
) -> DataFrame:
    """Popular items on the ranks that `best` leaves free, neither seen nor recommended already;
    only of `items`, if given.
    """
    given = best.groupBy("user").agg(F.count("*").cast("int").alias("_given"))
    short = (
        users.select("user")
        .join(given, "user", "left")
        .fillna(0, ["_given"])
        .where(F.col("_given") < top_k)
        .persist()
    )
    taken = (
        ratings.select("user", "item")
        .unionByName(best.select("user", "item"))
        .join(short, "user", "left_semi")
    )
    counts = popularity(within(Scan(ratings), items).frame)
    popular = top_unseen(constant_pieces(short), popularity_pieces(counts), Scan(taken), top_k)
    ranked = (
        popular.join(short, "user")
        .withColumn("rank", F.col("rank") + F.col("_given"))
        .where(F.col("rank") <= top_k)
    )
    return ranked.drop("_given").withColumn("model", F.lit(POPULAR))


def most_popular(ratings: Scan, top_k: int, items: DataFrame | None = None) -> DataFrame:
    """Columns rank, item and score: what somebody gets of whom nothing is known; only of
    `items`, if given.
    """
    best = (
        popularity(within(ratings, items).frame)
        .sort(F.desc("popularity"), "item")
        .limit(top_k)
        .collect()
    )
    ranked = [(rank, row["item"], row["popularity"]) for rank, row in enumerate(best, start=1)]
    return ratings.frame.sparkSession.createDataFrame(ranked, "rank int, item int, score float")


def constant_pieces(users: DataFrame) -> DataFrame:
    """PIECES of users with the one factor 1, so that every user's scores are the items' own."""
    return user_pieces(
        Scan(users.select("user", F.array(F.lit(1.0).cast("float")).alias("factors")))
    )


def popularity_pieces(items: DataFrame) -> DataFrame:
    """PIECES of items whose one factor is their popularity."""
    return item_pieces(Scan(items.select("item", F.array("popularity").alias("factors"))))


def popularity(ratings: DataFrame) -> DataFrame:
    """Columns item and popularity: its number of ratings."""
    return ratings.groupBy("item").agg(F.count("*").cast("float").alias("popularity"))
