"""The stage prepare-ratings: raw interactions become clean ones under dense ids, and every row is
accounted for.

    read = kept + merged + rejected + filtered

Kept rows are in `interactions`; the others are in `rejected_ratings` with their file, their text
and the reason.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cleaning import events
from emberline.cleaning.events import EventRules
from emberline.datasets.facts import Accounts, Spellings
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError, EmptyDatasetError
from emberline.runs.stage_run import StageRun
from emberline.sections.ratings import RatingsConfig
from emberline.spark import frames, ids, rejects
from emberline.spark.raw import Cleaning, count_raw, read_raw

_PAIR = ["user_id", "item_id"]
_SHOWN = 120  # characters of a row
_OUTCOMES = ("merged", "rejected", "filtered")
_MERGED = {
    "latest": "duplicate of a later event",
    "sum": "added to the pair's sum",
    "max": "not the pair's maximum",
}


def run(run: StageRun[RatingsConfig], spark: SparkSession) -> None:
    """Read, clean, merge, filter, number and write."""
    config = run.settings
    files, wanted = run.inputs.files(config.path), config.wanted()
    raw = read_raw(spark, files, config, wanted, cleaning=cleaning(config.rules()))
    parsed = frames.checkpoint(raw, run, "parsed").transform(leave_out_old, config.last_days)
    rejects.check(parsed, config.max_rejected, "ratings", [rule.reason for rule in config.reject])
    good = parsed.where("reason is null")
    merged = frames.checkpoint(merge_duplicates(good, config.keep), run, "merged")
    if config.columns.split is not None:
        check_splits(merged)
    survivors = merged.where("_row = 1")
    store = partial(frames.checkpoint, run=run, name="frequent")
    frequent = drop_rare(
        survivors.select(*_PAIR, "value", "timestamp", "split"),
        config.min_user_ratings,
        config.min_item_ratings,
        store,
    )
    kept = frames.checkpoint(frequent, run, "kept")

    left_out = (
        unusable(parsed)
        .unionByName(duplicates(merged, config.keep))
        .unionByName(rare(survivors, kept, config))
    )
    accounts = frames.write(left_out, run, "rejected_ratings")
    users, items = _write_ids(run, spark, kept, good)
    _write_kept(run, kept, users, items)
    read = count_raw(spark, files, config, wanted)
    _account(run, spark, read, accounts)
    joined = {
        f"{side}s": rejects.joined(good, f"{side}_id", f"{side}_spelling")
        for side in ("user", "item")
    }
    run.outputs.measure(joined=joined)
    run.outputs.finish("interactions", Spellings(joined))


def cleaning(rules: EventRules) -> Cleaning:
    """What makes events of raw rows, or gives the outcome and the reason why they are none."""
    return Cleaning(partial(events.clean_all, rules=rules), events.SCHEMA)


def leave_out_old(parsed: DataFrame, last_days: float | None) -> DataFrame:
    """Good rows are `filtered` where they are more than so many days older than the newest one."""
    if last_days is None:
        return parsed
    newest = parsed.where("reason is null").agg(F.max("timestamp")).first()
    if newest is None or newest[0] is None:
        return parsed
    is_old = F.isnull("reason") & (
        F.col("timestamp") < F.lit(newest[0] - timedelta(days=last_days))
    )
    reason, outcome = F.lit(f"more than {last_days:g} days before the newest"), F.lit("filtered")
    return parsed.withColumns(
        {
            "outcome": F.when(is_old, outcome).otherwise(F.col("outcome")),
            "reason": F.when(is_old, reason).otherwise(F.col("reason")),
        }
    )


def merge_duplicates(good: DataFrame, keep: str) -> DataFrame:
    """Number the rows of each (user, item) by `_row`, the latest being 1, with the pair's
    merged value in each of them.
    """
    pair = Window.partitionBy(*_PAIR)
    latest = pair.orderBy(F.desc_nulls_last("timestamp"), F.desc("value"), "source_file", "raw")
    merged = good.withColumn("_row", F.row_number().over(latest))
    if keep == "latest":
        return merged
    total = F.sum("value") if keep == "sum" else F.max("value")
    return merged.withColumn("value", total.over(pair).cast("float"))


def check_splits(merged: DataFrame) -> None:
    """Raises DataError where rows of one user and item are of two sets.

    merged: columns user_id, item_id, split, source_file and raw.
    """
    place = F.concat("source_file", F.lit(": "), F.substring("raw", 1, _SHOWN))
    found = merged.groupBy(*_PAIR).agg(
        F.min("split").alias("one"),
        F.max("split").alias("other"),
        F.min_by(place, "split").alias("place"),
        F.max_by(place, "split").alias("other_place"),
    )
    for row in found.where("one <> other").sort(*_PAIR).limit(1).collect():
        raise DataError(
            f"user {row['user_id']!r} and item {row['item_id']!r} are in two sets: {row['one']}"
            f" ({row['place']!r}) and {row['other']} ({row['other_place']!r}); what models are"
            " measured by must not be what they were made from: correct the column that"
            " ratings.columns.split names, or leave those rows out by ratings.reject"
        )


def drop_rare(
    ratings: DataFrame,
    min_user_ratings: int,
    min_item_ratings: int,
    store: Callable[[DataFrame], DataFrame],
) -> DataFrame:
    """The ratings left when users and items under their minimum are dropped, again and again, until
    none is.

    `store` keeps what is left after each round; the number of rounds depends on the data, and is
    below ten on most.
    """
    if min_user_ratings == min_item_ratings == 1:
        return ratings
    before, left = -1, ratings
    while (count := left.count()) != before:
        before = count
        left = left.transform(_drop_under, "user_id", min_user_ratings).transform(
            _drop_under, "item_id", min_item_ratings
        )
        left = store(left)
    return left


def _drop_under(ratings: DataFrame, column: str, minimum: int) -> DataFrame:
    enough = ratings.groupBy(column).count().where(F.col("count") >= minimum)
    return ratings.join(enough, column, "left_semi")


# ----------------------------------------------------------------------------------------------
# rows that are not kept


def unusable(parsed: DataFrame) -> DataFrame:
    """Rows that do not hold a usable rating, or not a wanted one."""
    return parsed.where("reason is not null").select("source_file", "outcome", "reason", "raw")


def duplicates(merged: DataFrame, keep: str) -> DataFrame:
    """Rows that went into another row of the same user and item."""
    return _left_out(merged.where("_row > 1"), "merged", F.lit(_MERGED[keep]))


def rare(survivors: DataFrame, kept: DataFrame, config: RatingsConfig) -> DataFrame:
    """Rows of users and items that stay under their minimum."""
    users = kept.select("user_id").distinct().withColumn("_known", F.lit(True))
    reason = F.when(
        F.col("_known").isNull(), F.lit(f"user has fewer than {config.min_user_ratings} ratings")
    ).otherwise(F.lit(f"item has fewer than {config.min_item_ratings} ratings"))
    dropped = survivors.join(kept, _PAIR, "left_anti").join(users, "user_id", "left")
    return _left_out(dropped, "filtered", reason)


def _left_out(rows: DataFrame, outcome: str, reason: Column) -> DataFrame:
    return rows.select(
        "source_file", F.lit(outcome).alias("outcome"), reason.alias("reason"), "raw"
    )


# --------------------------------------------------------------------------------------------------
# writing


def latest_titles(good: DataFrame) -> DataFrame:
    """Columns item_id and title: each item's newest title."""
    newest = F.max_by("title", F.struct("timestamp", "title"))
    return good.where("title is not null").groupBy("item_id").agg(newest.alias("title"))


def _write_ids(
    run: StageRun[RatingsConfig], spark: SparkSession, kept: DataFrame, good: DataFrame
) -> tuple[DataFrame, DataFrame]:
    """Extend both id maps by what is rated; returns them as written."""
    known = {side: ids.known(run, spark, side) for side in ("user", "item")}
    users, items = (_rated(run, spark, kept, side, before) for side, before in known.items())
    items = items.join(latest_titles(good), "item_id", "left")
    if before := run.outputs.previous("items"):
        titles = frames.read(spark, before).select("item_id", F.col("title").alias("_before"))
        items = items.join(titles, "item_id", "left").withColumn(
            "title", F.coalesce("title", "_before")
        )
    written_users = frames.write(users.sortWithinPartitions("user"), run, "users")
    written_items = frames.write(items.sortWithinPartitions("item"), run, "items")
    for side, before_ in known.items():
        ids.record_end(run, spark, f"{side}s", side, before_)
    return frames.read(spark, written_users), frames.read(spark, written_items)


def _rated(
    run: StageRun[RatingsConfig], spark: SparkSession, kept: DataFrame, side: str, known: ids.Known
) -> DataFrame:
    """Columns `side` and `<side>_id` of the previous map and of what is rated now, also where
    another stage has numbered it.
    """
    extended = ids.extend(
        known, kept, f"{side}_id", side, partial(frames.checkpoint, run=run, name="ids")
    )
    if run.outputs.continued.keys() <= {"users", "items"}:
        return extended
    wanted = kept.select(f"{side}_id")
    if before := run.outputs.previous(f"{side}s"):
        wanted = wanted.unionByName(frames.read(spark, before).select(f"{side}_id"))
    return extended.join(wanted, f"{side}_id", "left_semi")


def _write_kept(
    run: StageRun[RatingsConfig], kept: DataFrame, users: DataFrame, items: DataFrame
) -> None:
    numbered = kept.join(users, "user_id").join(items.drop("title"), "item_id")
    rows = numbered.repartition("user").sortWithinPartitions("user", "item")
    frames.write(rows, run, "interactions")


def _account(
    run: StageRun[RatingsConfig], spark: SparkSession, read: int, left_out: Dataset
) -> None:
    """Compare what was read, counted by itself, with what was written. Raises DataError where a
    row is missing or twice there.
    """
    counts = frames.read(spark, left_out).groupBy("outcome", "reason").count()
    by_reason = counts.orderBy(F.desc("count"), "reason").collect()
    reasons = {f"{row['outcome']}: {row['reason']}": row["count"] for row in by_reason}
    kept = run.outputs.rows("interactions")
    totals = {
        outcome: sum(row["count"] for row in by_reason if row["outcome"] == outcome)
        for outcome in _OUTCOMES
    }
    accounts: dict[str, Any] = {"read": read, "kept": kept, **totals}
    if read != kept + sum(totals.values()):
        raise DataError(
            f"the rows do not add up: {accounts}; were the input files changed while they were"
            " read? Run it again"
        )
    if kept == 0:
        top = "; ".join(f"{count} {reason}" for reason, count in list(reasons.items())[:3])
        raise EmptyDatasetError(f"{run.settings.path}: of {read} rows none is left ({top})")
    run.outputs.measure(accounts=accounts, reasons=reasons)
    run.outputs.finish("interactions", Accounts(accounts, reasons))
