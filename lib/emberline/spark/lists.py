"""Lists of the best items for every user: made of scores, mixed, and filled up.

For a user's row of factors or history `left` and the items' rows `right`, every model's score is
`left @ right.T`: see `spark/models/`.
"""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from emberline.cf.pieces import EXCLUDED
from emberline.models import MODELS, POPULAR, Model
from emberline.runs.stage_run import StageRun
from emberline.sections.recommend import RecommendConfig
from emberline.spark import frames
from emberline.spark.candidates import within
from emberline.spark.models.offers import Known, answering, pieces_of
from emberline.spark.pieces import constant_pieces, popularity, popularity_pieces
from emberline.spark.scan import Scan
from emberline.spark.topk import ROWS_PER_BLOCK, sparse_pieces, top_products


def full_lists(known: Known, users: Scan, run: StageRun[RecommendConfig]) -> DataFrame:
    """Columns user, rank, item, score and model: a list for each of `users`, without what is known
    of them already; by the configured model and those that rank new items, filled up with what is
    popular.
    """
    config, ratings = run.settings, known.tables["ratings"].frame
    best = frames.checkpoint(mixed(config, known), run, "best")
    if best.count() < config.top_k * users.count():
        filling = fill_up(best, users.frame, ratings.persist(), config.top_k, known.items)
        best = best.unionByName(filling)
    return best.repartition("user").sortWithinPartitions("user", "rank")


def mixed(config: RecommendConfig, known: Known) -> DataFrame:
    """The configured model's lists, with those of the models that rank items without ratings."""
    new = answering(MODELS.values(), "new_items", known.tables)
    lists = [(best_by(MODELS[config.model], config, known), 0.0)]
    lists += [(best_by(model, config, known), config.cold_share / len(new)) for model in new]
    return mix(lists, config.top_k)


def best_by(model: Model, config: RecommendConfig, known: Known) -> DataFrame:
    """Columns user, item, score, rank and model: one model's lists."""
    best = top_unseen(*pieces_of(model, known), known.of_users("ratings"), config.top_k)
    return best.withColumn("model", F.lit(model.name))


def top_unseen(
    left: DataFrame, right: DataFrame, seen: Scan, top_k: int, random_seed: int | None = None
) -> DataFrame:
    """Columns user, item, score and rank: each user's best items but those in `seen` (user,
    item).
    """
    excluded = sparse_pieces(seen, "user", "item", None, ROWS_PER_BLOCK, EXCLUDED)
    best = top_products(left.unionByName(excluded), right, top_k, random_seed)
    return best.withColumnsRenamed({"row": "user", "column": "item"})


def mix(lists: Sequence[tuple[DataFrame, float]], top_k: int) -> DataFrame:
    """The best `top_k` of some lists of user, item, score, rank and model, no item of which is in
    two; each with the share of the places that are set aside for it.

    Half a place counts as one. Where a list is shorter than its places, the others take them.
    """
    if len(lists) == 1:
        return lists[0][0]
    every = reduce(
        DataFrame.unionByName,
        [frame.withColumn("_kept", _is_kept(top_k * share)) for frame, share in lists],
    )
    user = Window.partitionBy("user")
    chosen = every.withColumn(
        "_place", F.row_number().over(user.orderBy(F.desc("_kept"), F.desc("score"), "item"))
    )
    ranked = chosen.where(F.col("_place") <= top_k).withColumn(
        "rank", F.row_number().over(user.orderBy(F.desc("score"), "item"))
    )
    return ranked.select("user", "item", "score", "rank", "model")


def _is_kept(places: float) -> Column:
    # 50 times 0.29 is a little less than 14.5
    return F.col("rank") <= int(places + 0.5 + 1e-9)


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
    return ranked.drop("_given").withColumn("model", F.lit(POPULAR.name))


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
