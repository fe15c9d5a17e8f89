"""How well items that nobody has rated are ranked: by factors that their pictures predict, beside
simpler ways to such factors.

Only the withheld items compete with each other, and only those with a picture. A user's score for
one is the product of their factors. Each model is a table of the items' factors; all else is the
same for all of them:

    cnn                   what the network predicts
    neighbors-pixels      the mean factors of the ten items in training whose pictures are most alike, averaged over squares
    neighbors-histogram   the same, alike by their colours
    linear-pixels         a ridge regression on the averaged pixels, its strength chosen on the validation items
    linear-histogram      the same, on the square roots of the colours' shares
    kernel-histogram      the same, on how like these are to those of some items in training (see cf/kernels)
    mean-factors          the mean of the items in training: the same for all
    random                nothing: all scores are equal
    oracle                the factors that the withheld ratings themselves give, the users' being as they are
"""

from collections.abc import Iterator
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cf import packing, regression, scoring
from emberline.cf.blocks import BLOCK_FIELDS, matrix_of
from emberline.cf.kernels import Landmarks
from emberline.cf.metrics import protocol
from emberline.cf.ranks import PLACES, RIGHT, WANTED, count_places
from emberline.cf.regression import Inputs
from emberline.cf.ridge import Moments, choose
from emberline.errors import EmptyDatasetError
from emberline.images import tasks as image_tasks
from emberline.runs.stage_run import StageRun
from emberline.sections.evaluate import EvaluateConfig
from emberline.spark import frames, protocols
from emberline.spark.als.fold_in import fold_in_items
from emberline.spark.frames import spark_schema
from emberline.spark.hashes import hash_of
from emberline.spark.scan import Scan
from emberline.spark.topk import (
    COLUMNS_PER_BLOCK,
    ROWS_PER_BLOCK,
    block_of,
    dense_pieces,
    top_products,
)

_NEIGHBORS = 10
_SHARE = "share"  # of a user that one of their relevant items stands for
_STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-6, 7))
_LANDMARKS = 250
# an item of so many counts half as much as one of very many: its factors are not sure
_FEW_RATINGS = 20
_REGRESSIONS = {  # the column of features, and whether they pass the kernel
    "linear-pixels": ("pixels", False),
    "linear-histogram": ("colours", False),
    "kernel-histogram": ("colours", True),
}
Row = dict[str, Any]


def report(
    run: StageRun[Any], spark: SparkSession, tables: dict[str, DataFrame], relevant: DataFrame
) -> Row:
    """The protocol, and a row per model and metric; relevant: user, item of withheld ratings
    of cold items.
    """
    config: EvaluateConfig = run.settings
    examples = tables["shards_all"].select("item", "split", "pixels")
    candidates = examples.where("split = 'test'").select("item").persist()
    counted = relevant.join(candidates, "item", "left_semi").join(
        tables["user_factors"].select("user"), "user", "left_semi"
    )
    counted = frames.checkpoint(counted.select("user", "item"), run, "relevant")
    num_candidates = candidates.count()
    if counted.isEmpty():
        raise EmptyDatasetError(
            f"none of the {num_candidates} cold items with a picture has a relevant rating; raise"
            " ratings.holdout.cold_items"
        )
    factors = frames.checkpoint(_models(run, spark, tables, examples, candidates), run, "models")
    ranks = frames.checkpoint(
        ranks_of(counted, tables["user_factors"], factors, config.seed), run, "ranks"
    )
    rows = metric_rows(ranks, num_candidates, config.cold_k)
    return {
        "protocol": _protocol(run, num_candidates),
        **protocols.data_of_ratings(run),
        "metrics": list(rows),
    }


def _protocol(run: StageRun[Any], num_candidates: int) -> Row:
    config: EvaluateConfig = run.settings
    facts = protocols.of_ratings(run) | {
        "users": "those with factors and a relevant rating of a candidate",
        "candidates": "the items withheld whole that have a picture",
        "relevant": (
            "every withheld rating"
            if config.relevant_from is None
            else f"withheld value >= {config.relevant_from:g}"
        ),
    }
    return protocol(f"{num_candidates} cold items among each other", facts)


# --------------------------------------------------------------------------------------------------
# models


def _models(
    run: StageRun[Any],
    spark: SparkSession,
    tables: dict[str, DataFrame],
    examples: DataFrame,
    candidates: DataFrame,
) -> DataFrame:
    """Columns model, item and factors: of every candidate, by every model; zeros where a
    model has no answer.
    """
    info, rank = (
        run.inputs["shards_all"].manifest.info,
        run.inputs["item_factors"].manifest.rank or 0,
    )
    shape = (info["height"], info["width"], info["channels"])
    features = examples.where("split <> 'none'").mapInArrow(
        partial(image_tasks.plain_features, shape=shape), spark_schema(image_tasks.FEATURES)
    )
    features = frames.checkpoint(features, run, "features")
    warm = (
        tables["item_factors"]
        .join(features.where("split <> 'test'").select("item"), "item", "left_semi")
        .persist()
    )
    zeros = F.array(*[F.lit(0.0).cast("float")] * rank)
    regressed = frames.checkpoint(_regressed(features, warm, tables["ratings"]), run, "regressed")
    answers = {
        "cnn": tables["predicted_factors"],
        "neighbors-pixels": neighbor_means(features, "pixel_direction", warm),
        "neighbors-histogram": neighbor_means(features, "colour_direction", warm),
        **{name: regressed.where(F.col("model") == name) for name in _REGRESSIONS},
        "mean-factors": candidates.crossJoin(_mean(warm, rank)),
        "random": candidates.withColumn("factors", zeros),
        "oracle": oracle(run, tables),
    }
    whole = [
        candidates.join(frame.select("item", "factors"), "item", "left").select(
            F.lit(name).alias("model"), "item", "factors"
        )
        for name, frame in answers.items()
    ]
    return reduce(DataFrame.unionByName, whole).withColumn("factors", F.coalesce("factors", zeros))


def _mean(factors: DataFrame, rank: int) -> DataFrame:
    means = [F.avg(F.get("factors", i)).cast("float") for i in range(rank)]
    return factors.agg(F.array(*means).alias("factors"))


def neighbor_means(features: DataFrame, column: str, warm: DataFrame) -> DataFrame:
    """Columns item and factors: of each test item, the mean factors of the nearest items in
    training by cosine.
    """
    unit = features.select("item", "split", F.col(column).alias("factors"))
    cold = dense_pieces(Scan(unit.where("split = 'test'")), "item", ROWS_PER_BLOCK)
    known = dense_pieces(Scan(unit.where("split <> 'test'")), "item", COLUMNS_PER_BLOCK)
    nearest = top_products(cold, known, _NEIGHBORS).withColumnsRenamed(
        {"row": "cold", "column": "item"}
    )
    places = nearest.join(warm, "item").select(
        "cold", F.posexplode("factors").alias("place", "value")
    )
    means = places.groupBy("cold", "place").agg(F.avg("value").alias("value"))
    ordered = F.array_sort(F.collect_list(F.struct("place", "value")))
    factors = F.transform(ordered, lambda pair: pair["value"].cast("float"))
    return means.groupBy("cold").agg(factors.alias("factors")).withColumnRenamed("cold", "item")


def _regressed(features: DataFrame, warm: DataFrame, ratings: DataFrame) -> DataFrame:
    """Columns model, item and factors of the test items, by _REGRESSIONS, in which items of
    many ratings weigh more.
    """
    counted = warm.join(ratings.groupBy("item").count(), "item", "left")
    count = F.coalesce("count", F.lit(1))  # of an item whose factors an earlier run has learnt
    weighted = counted.select(
        "item", "factors", (count / (count + F.lit(_FEW_RATINGS))).alias("weight")
    )
    landmarks = _landmarks(features.join(warm.select("item"), "item", "left_semi"))
    inputs = {
        name: Inputs(column, landmarks if is_kernel else None)
        for name, (column, is_kernel) in _REGRESSIONS.items()
    }
    return regressions(features, weighted, inputs)


def _landmarks(features: DataFrame) -> Landmarks:
    """The colours of some items in training, chosen by hash."""
    drawn = features.where("split = 'train'").orderBy(
        F.xxhash64(F.lit("landmarks"), "item"), "item"
    )
    colours = drawn.select("colours").limit(_LANDMARKS).toArrow()["colours"].combine_chunks()
    return Landmarks.of(matrix_of(colours, len(colours)))


def regressions(features: DataFrame, warm: DataFrame, inputs: dict[str, Inputs]) -> DataFrame:
    """Columns model, item and factors of the test items, by ridge regression on each of the
    inputs.

    warm: item, factors and weight of the others.
    """
    known = features.where("split <> 'test'").join(warm, "item")
    sums = known.mapInArrow(
        partial(regression.sum_moments, inputs=inputs), spark_schema(regression.MOMENTS)
    )
    moments: dict[tuple[str, str], Moments] = {}
    for row in sums.toLocalIterator():
        key, found = (row["model"], row["split"]), _moments(row)
        moments[key] = moments[key].merge(found) if key in moments else found
    known_to = {
        name: (moments[name, "train"], moments.get((name, "val"), moments[name, "train"]))
        for name in inputs
    }
    weights = {name: choose(train, val, _STRENGTHS) for name, (train, val) in known_to.items()}
    task = partial(regression.apply_weights, inputs=inputs, weights=weights)
    return features.where("split = 'test'").mapInArrow(task, spark_schema(regression.PREDICTED))


def _moments(row: Any) -> Moments:
    yy = np.frombuffer(row["yy"])
    xy = np.frombuffer(row["xy"]).reshape(-1, len(yy))
    return Moments(row["count"], np.frombuffer(row["xx"]).reshape(len(xy), len(xy)), xy, yy)


def oracle(run: StageRun[Any], tables: dict[str, DataFrame]) -> DataFrame:
    """Columns item and factors of the cold items, solved from their withheld ratings as
    train-als would have.
    """
    users, known = tables["user_factors"], run.inputs["user_factors"].manifest.info
    ratings = tables["holdout"].where("cold").join(users.select("user"), "user", "left_semi")
    return fold_in_items(Scan(ratings), users, run.config.als_for_lists, known, run.outputs.scratch)


# --------------------------------------------------------------------------------------------------
# ranks


def ranks_of(
    relevant: DataFrame, user_factors: DataFrame, factors: DataFrame, seed: int
) -> DataFrame:
    """Columns model, user, item and rank (from 1) of each relevant item among all items of its
    model, by the user's scores.

    Among items of equal score a place is drawn, with the seed. factors: model, item, factors.
    """
    users = user_factors.join(relevant.select("user").distinct(), "user", "left_semi")
    scored = relevant.join(users.withColumnRenamed("factors", "user_factors"), "user")
    scored = scored.join(factors.withColumnRenamed("factors", "item_factors"), "item")
    scored = scored.select("model", "user", "item", "user_factors", "item_factors")
    wanted = scored.mapInArrow(
        scoring.dot_products, "model string, user int, item int, predicted float"
    )
    pairs = _pairs(users, factors, wanted)
    counts = pairs.mapInArrow(count_places, spark_schema(PLACES))
    totals = counts.groupBy("model", "user", "item").agg(
        F.sum("above").alias("above"), F.sum("equal").alias("equal")
    )
    draw = F.pmod(hash_of(seed, "ties", "user", "item"), F.greatest("equal", F.lit(1)))
    return totals.select(
        "model", "user", "item", (1 + F.col("above") + draw).cast("int").alias("rank")
    )


def _pairs(users: DataFrame, factors: DataFrame, wanted: DataFrame) -> DataFrame:
    """Every block of users with its wanted entries and every block of items, model by model."""
    left = blocks(users.withColumnRenamed("user", "row"), packing.pack_dense, ROWS_PER_BLOCK)
    right = blocks(
        factors.withColumnRenamed("item", "row"), packing.pack_dense, COLUMNS_PER_BLOCK, "model"
    )
    entries = wanted.withColumnsRenamed({"user": "row", "item": "column", "predicted": "value"})
    packed = blocks(entries, packing.pack_sparse, ROWS_PER_BLOCK, "model")
    packed = packed.select(
        "model", "block", *[F.col(name).alias(WANTED + name) for name, _ in BLOCK_FIELDS]
    )
    right = right.select(
        "model",
        *[F.col(name).alias(RIGHT + name) for name in right.columns if name != "model"],
    )
    return left.join(packed, "block").join(right, "model")


def blocks(rows: DataFrame, pack: Any, block_size: int, *by: str) -> DataFrame:
    """Blocks of the rows (column row, and what `pack` takes) of each value of some text
    columns, which come first.
    """
    schema = pa.schema([*((name, pa.string()) for name in by), *packing.BLOCKS])

    def packed(table: pa.Table) -> pa.Table:
        block = pack(table)
        named = {name: table[name][:1].combine_chunks() for name in by} | {
            name: block[name] for name in block.column_names
        }
        return pa.table(named, schema=schema)

    numbered = rows.withColumn("block", block_of("row", block_size))
    return numbered.groupBy(*by, "block").applyInArrow(packed, spark_schema(schema))


def metric_rows(ranks: DataFrame, num_candidates: int, ks: tuple[int, ...]) -> Iterator[Row]:
    """Recall, NDCG and the area under the ROC curve, averaged over users.

    Each is a sum over a user's relevant items. The standard error is the larger of two: over users,
    and over items, since these are few and users share them.
    """
    terms = _terms(num_candidates, ks)
    parts = ranks.select(
        "model", "user", "item", *(term.alias(name) for name, term in terms.items())
    ).persist()
    by_user, by_item = _user_errors(parts, list(terms)), _item_errors(parts, list(terms))
    for model in sorted(by_user, key=lambda model: -by_user[model]["auc"][0]):
        for name in [name for name in terms if name != _SHARE]:
            value, error = by_user[model][name]
            errors = [found for found in (error, by_item[model][name]) if found is not None]
            counts = {"users": int(by_user[model]["users"][0])}
            yield {
                "model": model,
                "metric": name,
                "value": value,
                "standard_error": max(errors, default=None),
                **counts,
            }


def _terms(num_candidates: int, ks: tuple[int, ...]) -> dict[str, Column]:
    """What each row of user, item and rank adds to its user's metrics, and to the number of
    users.
    """
    user = Window.partitionBy("model", "user")
    relevant, rank = F.count("*").over(user), F.col("rank")
    # rank - place irrelevant items are above
    place = F.row_number().over(user.orderBy("rank", "item"))
    terms = {
        _SHARE: 1 / relevant,
        "auc": (
            (1 - (rank - place) / F.greatest(F.lit(num_candidates) - relevant, F.lit(1))) / relevant
        ),
    }
    for k in ks:
        hit, reachable = (rank <= k).cast("double"), F.least(relevant, F.lit(k)).cast("int")
        best = np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1)).tolist()
        terms[f"recall@{k}/n"] = hit / relevant
        terms[f"recall@{k}/min(k,n)"] = hit / reachable
        terms[f"ndcg@{k}"] = (
            hit / F.log2(rank + 1) / F.get(F.array(*map(F.lit, best)), reachable - 1)
        )
    return terms


def _user_errors(
    parts: DataFrame, names: list[str]
) -> dict[str, dict[str, tuple[float, float | None]]]:
    """Each model's means over users with their standard errors; `users` is how many."""
    totals = parts.groupBy("model", "user").agg(
        *(F.sum(_quoted(name)).alias(f"_{i}") for i, name in enumerate(names))
    )
    moments = [moment(f"_{i}") for i in range(len(names)) for moment in (F.avg, F.stddev)]
    found: dict[str, dict[str, tuple[float, float | None]]] = {}
    for model, users, *values in totals.groupBy("model").agg(F.count("*"), *moments).collect():
        pairs = zip(names, values[::2], values[1::2], strict=True)
        found[model] = {
            name: (mean, None if spread is None else spread / users**0.5)
            for name, mean, spread in pairs
        }
        found[model]["users"] = (users, None)
    return found


def _item_errors(parts: DataFrame, names: list[str]) -> dict[str, dict[str, float | None]]:
    """The standard errors of the same means with the items as the sample.

    A mean over users is the ratio of two sums over items, of their terms c and of their shares w of
    the users; its variance is about `n / (n - 1) * sum (c - ratio w)^2 / (sum w)^2` (Cochran 1977,
    section 2.11).
    """
    totals = parts.groupBy("model", "item").agg(
        *(F.sum(_quoted(name)).alias(name) for name in names)
    )
    share = F.col(_SHARE)
    moments = [
        sum_
        for name in names
        for c in [_quoted(name)]
        for sum_ in (F.sum(c), F.sum(c * c), F.sum(c * share))
    ]
    found: dict[str, dict[str, float | None]] = {}
    for model, items, *values in totals.groupBy("model").agg(F.count("*"), *moments).collect():
        w, ww, _ = values[:3]
        found[model] = {}
        for name, c, cc, cw in zip(names, values[::3], values[1::3], values[2::3], strict=True):
            square = cc - 2 * (c / w) * cw + (c / w) ** 2 * ww
            found[model][name] = (
                (max(square, 0) * items / (items - 1)) ** 0.5 / w if items > 1 else None
            )
    return found


def _quoted(name: str) -> Column:
    return F.col(f"`{name}`")
