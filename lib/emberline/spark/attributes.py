"""The stage prepare-items: what is known of items and users besides ratings, one row per id, under
the dense ids.

    read = kept + merged + rejected        (for items and for users)

An id that nobody has rated gets an index here. Rows of one id are merged: their lists are joined,
and of single values the first counts, in the order of the sources, then of file and text.
"""

from functools import partial, reduce

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.cleaning.attributes import LISTS, SINGLE
from emberline.datasets.facts import Accounts, Attributes, Spellings, UnusableNumbers
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError, EmptyDatasetError
from emberline.runs.stage_run import StageRun
from emberline.sections.attributes import AttributesConfig, AttributeSourceConfig
from emberline.spark import frames, ids, rejects
from emberline.spark.attribute_rows import read_attributes

_ORDER = ("_source", "source_file", "raw")


def run(run: StageRun[AttributesConfig], spark: SparkSession) -> None:
    """Read, check, merge, number and write both sides."""
    config = run.settings
    sides = {
        side: sources
        for side, sources in (("item", config.items), ("user", config.users))
        if sources
    }
    parsed = {
        side: frames.checkpoint(number_rows(_parsed(run, spark, side)), run, side) for side in sides
    }
    for side, sources in sides.items():
        _check_rejected(parsed[side], side, sources)
    left_out = [
        part
        for side, rows in parsed.items()
        for part in (rejected(rows, side), merged_away(rows, side))
    ]
    accounts = frames.write(reduce(DataFrame.unionByName, left_out), run, "rejected_attributes")
    for side, rows in parsed.items():
        _write_side(run, spark, side, rows)
    _account(run, spark, {side: rows.count() for side, rows in parsed.items()}, accounts)


def _parsed(run: StageRun[AttributesConfig], spark: SparkSession, side: str) -> DataFrame:
    config = run.settings
    names, rows = config.numbers(side), []
    for position, source in enumerate(config.items if side == "item" else config.users):
        files, wanted = run.inputs.files(source.path), source.wanted(names)
        parsed = read_attributes(spark, files, source, wanted, source.rules(names), LISTS)
        rows.append(parsed.withColumn("_source", F.lit(position)))
    return reduce(DataFrame.unionByName, rows)


def number_rows(parsed: DataFrame) -> DataFrame:
    """Add `_row`: which of its id's usable rows a row is, from 1; null for one that cannot be
    used.
    """
    within = Window.partitionBy("id", F.col("reason").isNull()).orderBy(*_ORDER)
    return parsed.withColumn("_row", F.when(F.col("reason").isNull(), F.row_number().over(within)))


def merge(usable: DataFrame, numbers: list[str]) -> DataFrame:
    """One row per id; lists keep each word once, in alphabetical order."""
    singles = [
        F.min_by(name, F.when(F.col(name).isNotNull(), F.col("_row"))).alias(name)
        for name in SINGLE
    ]
    lists = [
        F.array_sort(F.array_distinct(F.flatten(F.collect_list(name)))).alias(name)
        for name in LISTS
    ]
    first = [
        F.min_by(F.get("numbers", i), F.when(F.get("numbers", i).isNotNull(), F.col("_row"))).alias(
            f"_{i}"
        )
        for i in range(len(numbers))
    ]
    merged = usable.groupBy("id").agg(*singles, *lists, *first)
    values = F.array(*(f"_{i}" for i in range(len(numbers)))).cast("array<double>")
    return merged.select("id", *SINGLE, *LISTS, values.alias("numbers"))


def rejected(parsed: DataFrame, side: str) -> DataFrame:
    """Rows that cannot be used."""
    return _left_out(parsed.where("reason is not null"), side, "rejected", F.col("reason"))


def merged_away(parsed: DataFrame, side: str) -> DataFrame:
    """Rows that went into another row of the same id."""
    return _left_out(parsed.where("_row > 1"), side, "merged", F.lit("another row of the same id"))


def _left_out(rows: DataFrame, side: str, outcome: str, reason: Column) -> DataFrame:
    return rows.select(
        F.lit(side).alias("side"),
        "source_file",
        F.lit(outcome).alias("outcome"),
        reason.alias("reason"),
        "raw",
    )


def _check_rejected(
    parsed: DataFrame, side: str, sources: tuple[AttributeSourceConfig, ...]
) -> None:
    """Raises DataError where more rows of a source cannot be used than it allows."""
    for position, source in enumerate(sources):
        place = f".{position}" if len(sources) > 1 else ""
        rows = parsed.where(F.col("_source") == position).withColumn(
            "outcome", F.when(F.col("reason").isNotNull(), F.lit("rejected"))
        )
        rejects.check(rows, source.max_rejected, f"attributes.{side}s{place}")


def _write_side(
    run: StageRun[AttributesConfig], spark: SparkSession, side: str, parsed: DataFrame
) -> None:
    names = list(run.settings.numbers(side))
    usable = parsed.where("reason is null")
    rows = merge(usable, names).withColumnRenamed("id", f"{side}_id")
    store = partial(frames.checkpoint, run=run, name="ids")
    known = ids.known(run, spark, side)
    numbered = ids.extend(known, rows, f"{side}_id", side, store)
    kept = rows.join(numbered, f"{side}_id").repartition(side).sortWithinPartitions(side)
    frames.write(kept, run, f"{side}_attributes", Attributes(names))
    run.outputs.finish(
        f"{side}_attributes",
        UnusableNumbers(unusable_numbers(usable)),
        Spellings(rejects.joined(usable, "id", "spelling")),
    )
    ids.record_end(run, spark, f"{side}_attributes", side, known)


def _account(
    run: StageRun[AttributesConfig], spark: SparkSession, read: dict[str, int], left_out: Dataset
) -> None:
    """Raises DataError where the rows written are not those read, EmptyDatasetError where a
    side has none.
    """
    rows = (
        frames.read(spark, left_out)
        .groupBy("side", "outcome", "reason")
        .count()
        .orderBy(F.desc("count"), "reason")
        .collect()
    )
    for side, count in read.items():
        mine = [row for row in rows if row["side"] == side]
        totals = {
            what: sum(row["count"] for row in mine if row["outcome"] == what)
            for what in ("merged", "rejected")
        }
        reasons = {f"{row['outcome']}: {row['reason']}": row["count"] for row in mine}
        kept = run.outputs.rows(f"{side}_attributes")
        accounts = {"read": count, "kept": kept, **totals}
        if count != kept + sum(totals.values()):
            raise DataError(
                f"the rows of {side}s do not add up: {accounts}; were the input files changed? Run"
                " it again"
            )
        if kept == 0:
            raise EmptyDatasetError(
                f"none of the {count} rows of {side} attributes can be used ({'; '.join(reasons)})"
            )
        run.outputs.finish(f"{side}_attributes", Accounts(accounts, reasons))


def unusable_numbers(usable: DataFrame) -> dict[str, int]:
    """By the name of a number, in how many usable rows there is a text that is none."""
    names = usable.select(F.explode("unusable").alias("name"))
    return {
        row["name"]: row["count"] for row in names.groupBy("name").count().orderBy("name").collect()
    }
