"""How well items that nobody has rated are ranked, by the factors that models predict for them.

Only the withheld items compete with each other: those with a picture, where factors are predicted
from these. A user's score for one is the product of their factors; where a model has none for an
item, they are zeros. All else is the same for all models, for the baselines beside them, and for
`random`, which has no factors at all.
"""

from collections.abc import Iterator, Mapping
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from emberline.cf import packing, scoring
from emberline.cf.blocks import BLOCK_FIELDS
from emberline.cf.metrics import protocol
from emberline.cf.ranks import PLACES, RIGHT, WANTED, count_places
from emberline.errors import EmptyDatasetError
from emberline.models import ALS, MODELS, RANDOM
from emberline.runs.stage_run import StageRun
from emberline.scoring.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK
from emberline.sections.evaluate import EvaluateConfig
from emberline.spark import frames, protocols
from emberline.spark.frames import spark_schema
from emberline.spark.hashes import hash_of

_SHARE = "share"  # of a user that one of their relevant items stands for
Row = dict[str, Any]
Tables = Mapping[str, DataFrame]


def report(run: StageRun[Any], tables: Tables, relevant: DataFrame) -> Row:
    """The protocol, and a row per model and metric; relevant: user, item of withheld ratings of
    cold items.
    """
    config: EvaluateConfig = run.settings
    users, candidates = tables[ALS.lists[0]], candidates_of(tables).persist()
    counted = relevant.join(candidates, "item", "left_semi").join(
        users.select("user"), "user", "left_semi"
    )
    counted = frames.checkpoint(counted.select("user", "item"), run, "relevant")
    num_candidates = candidates.count()
    if counted.isEmpty():
        raise EmptyDatasetError(
            f"none of the {num_candidates} {_kind(tables)} has a relevant rating; raise"
            " split.cold_items"
        )
    rank = run.inputs[ALS.lists[0]].manifest.rank or 0
    factors = frames.checkpoint(answers(tables, candidates, rank), run, "models")
    ranks = frames.checkpoint(ranks_of(counted, users, factors, config.seed), run, "ranks")
    return {
        "protocol": _protocol(run, tables, num_candidates),
        **protocols.data_of_ratings(run),
        "metrics": list(metric_rows(ranks, num_candidates, config.cold_k)),
    }


def candidates_of(tables: Tables) -> DataFrame:
    """Column item: those withheld whole that compete, which some model has an answer for, if there
    is any model.
    """
    cold = tables["holdout"].where("cold").select("item").distinct()
    for name in _predicted(tables):
        cold = cold.join(tables[name].select("item").distinct(), "item", "left_semi")
    return cold


def _predicted(tables: Tables) -> list[str]:
    """The tables of models, and not of baselines, that answer for new items."""
    names = (name for model in MODELS.values() if model.role == "model" for name in model.new_items)
    return [name for name in dict.fromkeys(names) if name in tables]


def _kind(tables: Tables) -> str:
    return "cold items with a picture" if _predicted(tables) else "cold items"


def _protocol(run: StageRun[Any], tables: Tables, num_candidates: int) -> Row:
    config: EvaluateConfig = run.settings
    pictured = " that have a picture" if _predicted(tables) else ""
    facts = protocols.of_ratings(run) | {
        "users": "those with factors and a relevant rating of a candidate",
        "candidates": f"the items withheld whole{pictured}",
        "relevant": (
            "every withheld rating"
            if config.relevant_from is None
            else f"withheld value >= {config.relevant_from:g}"
        ),
    }
    return protocol(f"{num_candidates} cold items among each other", facts)


def answers(tables: Tables, candidates: DataFrame, rank: int) -> DataFrame:
    """Columns model, item and factors: of every candidate, by every model of the tables and by
    RANDOM; zeros where a model has no answer.
    """
    names = dict.fromkeys(name for model in MODELS.values() for name in model.new_items)
    found = reduce(
        DataFrame.unionByName,
        [tables[name].select("model", "item", "factors") for name in names if name in tables],
    )
    models = sorted(row["model"] for row in found.select("model").distinct().collect())
    wanted = candidates.withColumn("model", F.explode(F.array(*map(F.lit, [*models, RANDOM.name]))))
    zeros = F.array(*[F.lit(0.0).cast("float")] * rank)
    return wanted.join(found, ["model", "item"], "left").select(
        "model", "item", F.coalesce("factors", zeros).alias("factors")
    )


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

    numbered = rows.withColumn("block", F.floor(F.col("row") / block_size).cast("int"))
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
