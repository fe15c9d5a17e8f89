"""What is said of raw rows that are left out, and of ids that are written in several ways."""

from collections.abc import Collection
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.errors import DataError

_SHOWN = 120
# What reasons speak of, and the settings by which such rows would be read.
_SETTINGS = {
    "timestamp is not": "timestamp_format",
    "value is not a number": "decimal, thousands",
    "count is not positive": "reject",
    "value is below": "min_value",
    "value is above": "max_value",
    "event has no weight": "weights, default_weight",
    "is not an integer": "user_ids, item_ids, ids",
    "is missing": "columns, nulls",
    "not valid ": "encoding",
    "unbalanced quotes": "quote",
    "wrong number of fields": "separator, quote",
}


def check(
    parsed: DataFrame, max_rejected: float, setting: str, expected: Collection[str] = ()
) -> None:
    """Raises DataError where more than the share `max_rejected` of the rows is rejected, for other
    reasons than those expected.

    parsed: columns source_file, raw, outcome and reason, which is null for a good row.
    """
    example = F.min(F.struct("source_file", F.substring("raw", 1, _SHOWN + 1).alias("raw"))).alias(
        "example"
    )
    found = parsed.groupBy("outcome", "reason").agg(F.count("*").alias("rows"), example).collect()
    total = sum(row["rows"] for row in found)
    reasons = [
        row for row in found if row["outcome"] == "rejected" and row["reason"] not in expected
    ]
    rejected = sum(row["rows"] for row in reasons)
    if rejected > max_rejected * total and rejected < total:
        top = sorted(reasons, key=lambda row: (-row["rows"], row["reason"]))[:3]
        told = "; ".join(
            f"{row['rows']:,} {row['reason']}{_settings(row['reason'])}, such as"
            f" {_shown(row['example'])}"
            for row in top
        )
        raise DataError(
            f"{rejected:,} of {total:,} rows ({rejected / total:.1%}) cannot be used, and"
            f" {setting}.max_rejected = "
            f"{max_rejected:g} is the most that may be: {told}; correct the settings by which they"
            " are read, "
            "or raise"
            f" {setting}.max_rejected"
            + (" or name them in ratings.reject" if setting == "ratings" else "")
        )


def _settings(reason: str) -> str:
    return next(
        (f" (see {settings})" for words, settings in _SETTINGS.items() if words in reason), ""
    )


def _shown(example: Any) -> str:
    text = example["raw"] if len(example["raw"]) <= _SHOWN else example["raw"][:_SHOWN] + "..."
    return f"{text!r} in {example['source_file']}"


def check_readable(rows: DataFrame, setting: str, path: str) -> None:
    """Raises DataError, with the reasons, where not every row of a list can be read."""
    example = F.min(F.struct("source_file", F.substring("raw", 1, 121).alias("raw"))).alias(
        "example"
    )
    wrong = (
        rows.where("reason is not null").groupBy("reason").agg(F.count("*").alias("rows"), example)
    )
    found = wrong.orderBy(F.desc("rows"), "reason").limit(3).collect()
    if found:
        told = "; ".join(
            f"{row['rows']:,} {row['reason']}, such as {row['example']['raw']!r} in"
            f" {row['example']['source_file']}"
            for row in found
        )
        raise DataError(
            f"{setting} ({path}): rows that cannot be read may name what is meant, and the list has"
            f" to be whole: {told}; correct those rows, or {setting}.separator, quote, escape and"
            " encoding"
        )


def joined(good: DataFrame, id_column: str, spelling: str) -> int:
    """How many spellings of ids were found to be another one's: those of one id, less one, over
    all ids with any.
    """
    others = (
        good.where(F.col(spelling).isNotNull())
        .groupBy(id_column)
        .agg(F.countDistinct(spelling).alias("others"))
    )
    if others.isEmpty():
        return 0
    as_it_is = (
        good.where(F.col(spelling).isNull())
        .select(id_column)
        .distinct()
        .withColumn("plain", F.lit(1))
    )
    counts = (
        others.join(as_it_is, id_column, "left")
        .agg(F.sum(F.col("others") + F.coalesce("plain", F.lit(0)) - 1))
        .first()
    )
    return int(counts[0]) if counts else 0
