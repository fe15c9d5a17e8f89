"""What is said of raw rows that are left out."""

from collections.abc import Collection

import pyarrow.compute as pc

from emberline.cleaning import judging
from emberline.cleaning.forgotten import FORGOTTEN
from emberline.cleaning.judging import Reason
from emberline.cleaning.shield import HIDDEN, hidden_rows
from emberline.errors import DataError
from emberline.flow.rows import Rows

_TOLD = 3  # reasons
_SHOWN = ("source_file", "raw", "reason")
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


def reasons_in(rows: Rows) -> list[Reason]:
    """What becomes of rows of source_file, raw, reason and maybe outcome; frequent ones first."""
    return judging.reasons_of(rows.map(judging.count_reasons, judging.COUNTED).table())


def count_hidden(cleaned: Rows) -> int:
    """How many cleaned rows are of people who were forgotten."""
    rows = cleaned.select({"reason": "reason"}).map(hidden_rows, HIDDEN)
    return pc.sum(rows.table()["rows"]).as_py() or 0


def check(
    found: Collection[Reason],
    total: int,
    max_rejected: float,
    setting: str,
    expected: Collection[str] = (),
) -> None:
    """Raises DataError where more than the share `max_rejected` of so many rows is rejected, for
    other reasons than those expected.
    """
    reasons = [one for one in found if one.outcome == "rejected" and one.reason not in expected]
    rejected = judging.total_of(reasons)
    if rejected > max_rejected * total and rejected < total:
        told = "; ".join(
            f"{one.rows:,} {one.reason}{_settings(one.reason)}, such as"
            f" {one.example!r} in {one.source_file}"
            for one in reasons[:_TOLD]
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


def check_readable(rows: Rows, setting: str, path: str) -> None:
    """Raises DataError, with the reasons, where not every row of a list can be read."""
    unusable = rows.select({name: name for name in _SHOWN})
    if found := [one for one in reasons_in(unusable) if one.reason != FORGOTTEN]:
        told = "; ".join(
            f"{one.rows:,} {one.reason}, such as {one.example!r} in {one.source_file}"
            for one in found[:_TOLD]
        )
        raise DataError(
            f"{setting} ({path}): rows that cannot be read may name what is meant, and the list has"
            f" to be whole: {told}; correct those rows, or {setting}.separator, quote, escape and"
            " encoding"
        )
