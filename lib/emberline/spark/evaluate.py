"""The stage evaluate: what was recommended and predicted against what was held out, beside trivial
answers to the same question.

Every metric stands under one protocol: which ratings were withheld, who is counted, which items
compete, what is relevant. The protocol is written out and hashed, so that two numbers can be
compared only if they measure the same thing.
"""

import json
from collections.abc import Iterator
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cf.metrics import SUMS, Sums, measured, protocol, ranking_names, ranking_sums
from emberline.datasets import typed_json
from emberline.datasets.facts import Evaluation
from emberline.datasets.measures import reports_in
from emberline.datasets.parts import write_file
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Rows
from emberline.models import MODELS, MOST_POPULAR, RANDOM
from emberline.runs.stage_run import StageRun
from emberline.scoring.topk import excluded_pieces, top_products
from emberline.sections.evaluate import EvaluateConfig
from emberline.spark import classes, cold, frames, protocols, rating_errors
from emberline.spark.candidates import within
from emberline.spark.flow import SparkSource, frame_of
from emberline.spark.frames import spark_schema
from emberline.spark.pieces import constant_pieces, popularity, popularity_pieces
from emberline.spark.scan import Scan

_USERS_PER_BLOCK = 8192
Row = dict[str, Any]


def run(run: StageRun[EvaluateConfig], spark: SparkSession) -> None:
    """Measure what the pipeline recommends and predicts; write `metrics.json`."""
    config = run.settings
    tables = {name: frames.read(spark, dataset) for name, dataset in run.inputs.items()}
    reports: dict[str, Row] = {}
    if "holdout_recommendations" in tables:
        reports["holdout"] = _holdout_report(run, tables)
    if "baseline_factors" in tables:
        relevant = _relevant(tables["holdout"].where("cold"), config)
        reports["cold items"] = cold.report(run, tables, relevant)
    if any(name in tables for model in MODELS.values() for name in model.classes):
        reports["classes"] = classes.report(run, tables)
    text = json.dumps({"reports": reports}, indent=1).encode()
    reports_in(typed_json.parse(text)["reports"])  # as readers will
    run.outputs.add(
        "metrics",
        [write_file(text, run.outputs.folder("metrics"), "metrics.json")],
        Evaluation(reports),
        seed=config.seed,
    )
    run.outputs.measure(reports=reports)


def _holdout_report(run: StageRun[EvaluateConfig], tables: dict[str, DataFrame]) -> Row:
    """Recommendations, and the predicted ratings of explicit feedback, against ratings held out
    of each user's history.
    """
    withheld = tables["holdout"].where(~F.col("cold")).persist()
    metrics = [*_ranking(run, tables, withheld), *rating_errors.rows(run, tables, withheld)]
    return {"protocol": _protocol(run), **protocols.data_of_ratings(run), "metrics": metrics}


def _relevant(withheld: DataFrame, config: EvaluateConfig) -> DataFrame:
    """Columns user and item: what a good list would hold."""
    is_relevant = (
        F.lit(True) if config.relevant_from is None else F.col("value") >= config.relevant_from
    )
    return withheld.where(is_relevant).select("user", "item")


def _protocol(run: StageRun[EvaluateConfig]) -> Row:
    config = run.settings
    facts = protocols.of_ratings(run) | {
        "users": "those with a relevant held-out rating of an item that is not withheld whole",
        "candidates": "all items rated in training but those that the user rated in training",
        "relevant": (
            "every held-out rating"
            if config.relevant_from is None
            else f"held-out value >= {config.relevant_from:g}"
        ),
    }
    made_from = run.inputs.produced_by("holdout_recommendations").inputs
    if any(name in made_from for model in MODELS.values() for name in model.new_items):
        facts["candidates"] += ", and items without ratings by their predicted factors"
    if "recommendable_items" in run.inputs:
        facts["items"] = (
            "only those that recommend.candidates and recommend.exclude leave are candidates, or"
            " relevant"
        )
    holdout = facts["holdout"]
    return protocol(f"{holdout['by']} holdout, seed {holdout['seed']}", facts)


# --------------------------------------------------------------------------------------------------
# ranking


def _ranking(
    run: StageRun[EvaluateConfig], tables: dict[str, DataFrame], withheld: DataFrame
) -> Iterator[Row]:
    config = run.settings
    ratings, items = tables["ratings"].persist(), tables.get("recommendable_items")
    relevant = within(Scan(_relevant(withheld, config)), items).frame.persist()
    if relevant.isEmpty():
        listed = (
            ""
            if items is None
            else " of the items that recommend.candidates and recommend.exclude leave"
        )
        raise EmptyDatasetError(
            f"no held-out rating{listed} is relevant; withhold more in [split] or lower"
            " evaluate.relevant_from"
        )
    counts = popularity(within(Scan(ratings), items).frame).persist()
    contestants = _contestants(
        run,
        tables["holdout_recommendations"],
        relevant.select("user").distinct().persist(),
        ratings,
        counts,
    )
    lists = reduce(
        DataFrame.unionByName,
        [frame.withColumn("model", F.lit(name)) for name, frame in contestants.items()],
    )
    lists = frames.checkpoint(lists, run, "lists")
    yield from sorted(
        [
            *ranking_rows(lists, list(contestants), relevant, config.k),
            *coverage_rows(lists, counts, config.k),
        ],
        key=lambda row: list(contestants).index(row["model"]),
    )


def _contestants(
    run: StageRun[EvaluateConfig],
    recommended: DataFrame,
    users: DataFrame,
    ratings: DataFrame,
    counts: DataFrame,
) -> dict[str, DataFrame]:
    """The model's lists, the most popular items (ties broken at random, with the seed), and
    items drawn at random.
    """
    config = run.settings
    seen = ratings.join(users, "user", "left_semi").select("user", "item").persist()
    left = constant_pieces(users).union(excluded_pieces(SparkSource(Scan(seen))))
    shuffled = counts.withColumn(
        "popularity", (F.col("popularity") + _uniform(config.seed)).cast("float")
    )
    lists = {
        _lists_by(run): recommended.join(users, "user", "left_semi"),
        MOST_POPULAR.name: _best(left, popularity_pieces(shuffled), config),
        RANDOM.name: _best(left, popularity_pieces(counts), config, config.seed),
    }
    return {name: frame.select("user", "item", "rank") for name, frame in lists.items()}


def _best(
    left: Rows, right: Rows, config: EvaluateConfig, random_seed: int | None = None
) -> DataFrame:
    """Columns user, item, score and rank."""
    best = top_products(left, right, max(config.k), random_seed)
    return frame_of(best).withColumnsRenamed({"row": "user", "column": "item"})


def _lists_by(run: StageRun[EvaluateConfig]) -> str:
    """The model that the lists are by, but for what it has no answer to."""
    return str(run.inputs.produced_by("holdout_recommendations").config["model"])


def _uniform(seed: int) -> Column:
    """A number in [0, 0.5) that depends on the seed and the item only."""
    return F.pmod(F.xxhash64(F.lit(seed), "item"), F.lit(1 << 20)) / float(1 << 21)


def ranking_rows(
    lists: DataFrame, models: list[str], relevant: DataFrame, ks: tuple[int, ...]
) -> Iterator[Row]:
    """One row per model and metric; lists: model, user, item, rank; relevant: user, item."""
    block = F.floor(F.col("user") / _USERS_PER_BLOCK).cast("int").alias("block")
    counts = relevant.groupBy("user").agg(F.count("*").cast("int").alias("relevant"))
    counts = counts.select(
        F.explode(F.array(*map(F.lit, models))).alias("model"), "user", "relevant", block
    )
    hits = lists.join(relevant, ["user", "item"]).select("model", "user", "rank", block)
    blocks = counts.groupBy("model", "block").cogroup(hits.groupBy("model", "block"))

    # a partial hides the type hints that applyInArrow needs
    def sum_up(relevant: pa.Table, hits: pa.Table) -> pa.Table:
        return ranking_sums(relevant, hits, ks)

    names = ranking_names(ks)
    sums = {model: Sums.empty(len(names)) for model in models}
    for state in blocks.applyInArrow(sum_up, spark_schema(SUMS)).collect():
        part = Sums(state["users"], np.array(state["totals"]), np.array(state["squares"]))
        sums[state["model"]] = sums[state["model"]].merge(part)
    for model, whole in sums.items():
        for name, value, error in zip(names, whole.mean(), whole.standard_error(), strict=True):
            yield measured(model, name, value, error, users=whole.count)


def coverage_rows(lists: DataFrame, rated: DataFrame, ks: tuple[int, ...]) -> Iterator[Row]:
    """The share of the `rated` items that are in somebody's list; one row per model and k,
    none where nothing is rated.
    """
    num_items = rated.count()
    known = lists.join(rated.select("item", F.lit(True).alias("_rated")), "item", "left")
    distinct = [
        F.countDistinct(F.when(F.col("_rated") & (F.col("rank") <= k), F.col("item"))) for k in ks
    ]
    for model, *counts in known.groupBy("model").agg(*distinct).collect() if num_items else ():
        for k, count in zip(ks, counts, strict=True):
            yield {
                "model": model,
                "metric": f"coverage@{k}",
                "value": count / num_items,
                "items": num_items,
            }
