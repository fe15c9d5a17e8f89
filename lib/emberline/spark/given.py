"""Splits that somebody has published: files of pairs of users and items, by their outside ids."""

import logging
from functools import partial, reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cleaning import events
from emberline.datasets.withholding import HOLDOUT, VALIDATION
from emberline.errors import DataError
from emberline.flow.rows import Flow, Rows
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.sections.split import PairsConfig, SplitConfig
from emberline.spark import frames, rejects
from emberline.spark.flow import SparkRows, frame_of, session_of
from emberline.spark.raw import Cleaning, read_raw

log = logging.getLogger(__name__)
_PAIR = ["user_id", "item_id"]


def pairs_of(run: StageRun[SplitConfig], flow: Flow) -> SparkRows:
    """Columns user, item and given: the set that files of pairs put an interaction in.

    Raises DataError for a pair in two sets, and for a file of which no pair is known.
    """
    spark, config = session_of(flow), run.settings
    files = {HOLDOUT: config.pairs, VALIDATION: config.validation.pairs}
    listed = [_listed(run, spark, name, pairs) for name, pairs in files.items() if pairs]
    pairs = one_set_each(reduce(DataFrame.unionByName, listed)).persist()
    interactions = frames.read(spark, run.inputs["interactions"]).select("user", "item")
    known = with_ids(run, interactions).join(pairs, _PAIR).persist()
    _count(run, pairs, known)
    return SparkRows(known.select("user", "item", F.col("set").alias("given")))


def with_ids(run: StageRun[SplitConfig], rows: DataFrame) -> DataFrame:
    """Add user_id and item_id to rows of user and item."""
    users, items = (frames.read(rows.sparkSession, run.inputs[n]) for n in ("users", "items"))
    named = rows.join(users.select("user", "user_id"), "user")
    return named.join(items.select("item", "item_id"), "item")


def check_cold_items(run: StageRun[SplitConfig], flow: Flow, marked: Rows) -> None:
    """Raises DataError where an item is withheld whole and is rated in another set, too."""
    check_cold(with_ids(run, frame_of(marked).select("user", "item", "held", "cold", "chosen")))


def one_set_each(listed: DataFrame) -> DataFrame:
    """Columns user_id, item_id and set, each pair once, of rows that may repeat pairs; `place` is
    where a row stands.

    Raises DataError for a pair that is in two sets.
    """
    found = listed.groupBy(*_PAIR).agg(
        F.min("set").alias("set"),
        F.max("set").alias("other"),
        F.min_by("place", "set").alias("place"),
        F.max_by("place", "set").alias("other_place"),
    )
    twice = found.where("set <> other").sort(*_PAIR).limit(1).collect()
    for row in twice:
        raise DataError(
            f"user {row['user_id']!r} and item {row['item_id']!r} are in two sets:"
            f" {row['set']} ({row['place']}) and {row['other']} ({row['other_place']}); what models"
            " are measured by must not be what they were made from: remove the pair from one"
        )
    return found.select(*_PAIR, "set")


def check_cold(marked: DataFrame) -> None:
    """Raises DataError where an item is withheld whole (`cold`) and is rated in another set, too.

    marked: rows of user_id, item_id, held, cold and chosen.
    """
    place = F.when(F.col("chosen"), VALIDATION).otherwise(F.when(F.col("held"), HOLDOUT))
    warm = F.when(~F.col("cold"), F.struct("user_id", F.coalesce(place, F.lit("ratings"))))
    cold = F.when(F.col("cold"), F.col("user_id"))
    found = marked.groupBy("item_id").agg(F.min(warm).alias("warm"), F.min(cold).alias("cold"))
    leaks = found.where("warm is not null and cold is not null").sort("item_id").limit(1).collect()
    for row in leaks:
        user, where = row["warm"]
        raise DataError(
            f"item {row['item_id']!r} is cold in {HOLDOUT} (by user {row['cold']!r}), and rated in"
            f" {where} (by user {user!r}); list all of its pairs in split.pairs, or remove"
            " split.pairs.cold"
        )


def _listed(
    run: StageRun[SplitConfig], spark: SparkSession, name: str, pairs: PairsConfig
) -> DataFrame:
    """Columns user_id, item_id, set and place of one file's rows. Raises DataError where a row
    names no pair.
    """
    setting = "split.pairs" if name == HOLDOUT else "split.validation.pairs"
    cleaning = Cleaning(partial(events.clean_all, rules=pairs.rules()), events.SCHEMA)
    files = run.inputs.files(pairs.path)
    rows = read_raw(spark, files, pairs, pairs.wanted(), cleaning=cleaning).persist()
    rejects.check_readable(rows, setting, pairs.path)
    place = F.concat(F.lit(f"{setting}, "), F.col("source_file"))
    return rows.select(*_PAIR, F.lit(name).alias("set"), place.alias("place"))


def _count(run: StageRun[SplitConfig], pairs: DataFrame, known: DataFrame) -> None:
    """How many pairs no interaction has, in the log and the metrics. Raises DataError where that
    is all of a file's.
    """
    total = {row["set"]: row["count"] for row in pairs.groupBy("set").count().collect()}
    found = {row["set"]: row["count"] for row in known.groupBy("set").count().collect()}
    for name, count in total.items():
        unknown = count - found.get(name, 0)
        log.info(event("pairs_given", set=name, pairs=count, unknown=unknown))
        run.outputs.measure(**{f"given_{name}": {"pairs": count, "unknown": unknown}})
        if unknown == count:
            raise DataError(
                f"split: none of the {count:,} pairs given for {name} is an interaction; compare"
                " their ids with those that emberline show prints of the datasets users and items,"
                " and set user_ids, item_ids, clean_user_ids and clean_item_ids as in [ratings]"
            )
