"""The stage prepare-items: what is known of items and users besides ratings, one row per id, under the dense ids.

    read = kept + merged + rejected        (for items and for users)

An id that nobody has rated gets an index here. Rows of one id are merged: their lists are joined, and of single values the first
counts, in the order of the sources, then of file and text.
"""

from functools import partial, reduce
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from emberline.config import AttributesConfig, AttributeSourceConfig
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError, EmptyDatasetError
from emberline.runner import StageRun
from emberline.spark import frames, ids
from emberline.spark.raw import NUMBER, id_column, read_raw

_SINGLE = ("title", "text", "label")
_LISTS = ("genres", "tags")
_ORDER = ("_source", "source_file", "raw")


def run(run: StageRun, spark: SparkSession) -> None:
    """Read, check, merge, number and write both sides."""
    config: AttributesConfig = run.settings
    sides = {side: sources for side, sources in (("item", config.items), ("user", config.users)) if sources}
    parsed = {side: frames.checkpoint(number_rows(_parsed(run, spark, sources)), run, side) for side, sources in sides.items()}
    left_out = [part for side, rows in parsed.items() for part in (rejected(rows, side), merged_away(rows, side))]
    accounts = frames.write(reduce(DataFrame.unionByName, left_out), run, "rejected_attributes")
    for side, rows in parsed.items():
        _write_side(run, spark, side, rows, sides[side])
    _account(run, spark, {side: rows.count() for side, rows in parsed.items()}, accounts)


def number_names(sources: tuple[AttributeSourceConfig, ...]) -> list[str]:
    """The names of the numbers of all sources, each once, in their order."""
    return list(dict.fromkeys(name for source in sources for name in source.numbers))


def _parsed(run: StageRun, spark: SparkSession, sources: tuple[AttributeSourceConfig, ...]) -> DataFrame:
    names = number_names(sources)
    rows = []
    for position, source in enumerate(sources):
        columns = {name: column for name, column in source.columns if column is not None}
        wanted = columns | {f"_number_{names.index(name)}": name for name in source.numbers}
        raw = read_raw(spark, run.raw_files(source.path), source, wanted, "yyyy-MM-dd HH:mm:ss")
        rows.append(parse(raw, source, names).withColumn("_source", F.lit(position)))
    return reduce(DataFrame.unionByName, rows)


def parse(raw: DataFrame, source: AttributeSourceConfig, numbers: list[str]) -> DataFrame:
    """Columns source_file, raw, id, the attributes, and `reason`: null where the row can be used."""
    texts = raw.withColumns(
        {name: F.nullif(F.trim(name), F.lit("")) for name in raw.columns if name not in ("source_file", "raw")}
    )
    singles = [_text(texts, name).alias(name) for name in _SINGLE]
    lists = [_words(texts, name, source.list_separator).alias(name) for name in _LISTS]
    values = [_number(texts, f"_number_{i}") for i in range(len(numbers))]
    unusable = [
        F.when(F.col(f"_number_{i}").isNotNull() & value.isNull(), F.lit(f"{name} is not a number"))
        for i, (name, value) in enumerate(zip(numbers, values, strict=True))
        if name in source.numbers
    ]
    index = id_column("id", source.ids)
    reason = F.coalesce(
        F.col("problem"),
        F.when(F.col("id").isNull(), F.lit("id is missing")),
        F.when(index.isNull(), F.lit("id is not an integer")),
        *unusable,
    )
    all_numbers = F.array(*values).cast("array<double>").alias("numbers")
    return texts.select("source_file", "raw", index.alias("id"), *singles, *lists, all_numbers, reason.alias("reason"))


def _text(texts: DataFrame, name: str) -> Column:
    return F.col(name) if name in texts.columns else F.lit(None).cast("string")


def _words(texts: DataFrame, name: str, separator: str) -> Column:
    """The words between separators, trimmed, none of them empty."""
    if name not in texts.columns:
        return F.array().cast("array<string>")
    words = F.transform(F.split(F.col(name), rf"\Q{separator}\E"), lambda word: F.trim(word))
    return F.coalesce(F.filter(words, lambda word: word != ""), F.array().cast("array<string>"))


def _number(texts: DataFrame, column: str) -> Column:
    if column not in texts.columns:
        return F.lit(None).cast("double")
    number = F.when(F.rlike(column, F.lit(NUMBER)), F.col(column)).try_cast("double")
    return F.when(F.abs(number) < float("inf"), number)  # 1e400 becomes infinite


def number_rows(parsed: DataFrame) -> DataFrame:
    """Add `_row`: which of its id's usable rows a row is, from 1; null for one that cannot be used."""
    within = Window.partitionBy("id", F.col("reason").isNull()).orderBy(*_ORDER)
    return parsed.withColumn("_row", F.when(F.col("reason").isNull(), F.row_number().over(within)))


def merge(usable: DataFrame, numbers: list[str]) -> DataFrame:
    """One row per id; lists keep each word once, in alphabetical order."""
    singles = [F.min_by(name, F.when(F.col(name).isNotNull(), F.col("_row"))).alias(name) for name in _SINGLE]
    lists = [F.array_sort(F.array_distinct(F.flatten(F.collect_list(name)))).alias(name) for name in _LISTS]
    first = [
        F.min_by(F.get("numbers", i), F.when(F.get("numbers", i).isNotNull(), F.col("_row"))).alias(f"_{i}")
        for i in range(len(numbers))
    ]
    merged = usable.groupBy("id").agg(*singles, *lists, *first)
    values = F.array(*(f"_{i}" for i in range(len(numbers)))).cast("array<double>")
    return merged.select("id", *_SINGLE, *_LISTS, values.alias("numbers"))


def rejected(parsed: DataFrame, side: str) -> DataFrame:
    """Rows that cannot be used."""
    return _left_out(parsed.where("reason is not null"), side, "rejected", F.col("reason"))


def merged_away(parsed: DataFrame, side: str) -> DataFrame:
    """Rows that went into another row of the same id."""
    return _left_out(parsed.where("_row > 1"), side, "merged", F.lit("another row of the same id"))


def _left_out(rows: DataFrame, side: str, outcome: str, reason: Column) -> DataFrame:
    return rows.select(F.lit(side).alias("side"), "source_file", F.lit(outcome).alias("outcome"), reason.alias("reason"), "raw")


def _write_side(
    run: StageRun, spark: SparkSession, side: str, parsed: DataFrame, sources: tuple[AttributeSourceConfig, ...]
) -> None:
    names = number_names(sources)
    rows = merge(parsed.where("reason is null"), names).withColumnRenamed("id", f"{side}_id")
    store = partial(frames.checkpoint, run=run, name="ids")
    known = ids.known(run, spark, side)
    numbered = ids.extend(known, rows, f"{side}_id", side, store)
    kept = rows.join(numbered, f"{side}_id").repartition(side).sortWithinPartitions(side)
    frames.write(kept, run, f"{side}_attributes", numbers=names)
    ids.record_end(run, spark, f"{side}_attributes", side, known)


def _account(run: StageRun, spark: SparkSession, read: dict[str, int], left_out: Dataset) -> None:
    """Raises DataError where the rows written are not those read, EmptyDatasetError where a side has none."""
    rows = frames.read(spark, left_out).groupBy("side", "outcome", "reason").count().orderBy(F.desc("count"), "reason").collect()
    for side, count in read.items():
        mine = [row for row in rows if row["side"] == side]
        totals = {what: sum(row["count"] for row in mine if row["outcome"] == what) for what in ("merged", "rejected")}
        reasons = {f"{row['outcome']}: {row['reason']}": row["count"] for row in mine}
        kept = run.outputs[f"{side}_attributes"].rows
        accounts: dict[str, Any] = {"read": count, "kept": kept, **totals}
        if count != kept + sum(totals.values()):
            raise DataError(f"the rows of {side}s do not add up: {accounts}; were the input files changed? Run it again")
        if kept == 0:
            raise EmptyDatasetError(f"none of the {count} rows of {side} attributes can be used ({'; '.join(reasons)})")
        run.outputs[f"{side}_attributes"].info.update(accounts=accounts, reasons=reasons)
