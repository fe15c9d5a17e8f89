"""Timestamps as logs write them: numbers since 1970, ISO 8601, and any format of strptime or of
Java.
"""

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.records.arrow_texts import MOMENT as MARK

UNITS = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}  # in microseconds
MOMENT = pa.timestamp("us", tz="UTC")
_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # years 1 to 9999, in microseconds
_EPOCH = r"^(?P<sign>[+-]?)(?P<whole>\d{1,18})(?:\.(?P<fraction>\d*))?$"
_FLOAT = r"^[+-]?\d+(?:\.\d*)?[eE][+-]?\d{1,3}$"
_NAMES = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
]
_NAMES += ["december"]
_MONTHS = [name[:3] for name in _NAMES]
_DAYS = "(?i:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?i:day)?"
Numbers = np.ndarray
Parsed = tuple[Numbers, Numbers]  # numbers, and whether they are any
_NUMERIC = {"year", "short", "century", "month", "day", "hour", "hour12", "minute", "second"}
_ZONE = r"(?P<zone>Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)"
_ISO = (
    r"(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?:[T ](?P<hour>\d{2}):(?P<minute>\d{2})"
    rf"(?::(?P<second>\d{{2}})(?:[.,](?P<fraction>\d{{1,9}}))?)?(?: ?{_ZONE})?)?"
)


def _field(name: str, pattern: str) -> str:
    return f"(?P<{name}>{pattern})"


_SHORT = _field("name", f"(?i:{'|'.join(_MONTHS)})")
_LONG = _field("name", f"(?i:{'|'.join(_NAMES)})")
_AMPM = _field("half", "(?i:[ap]\\.?m\\.?)")
_STRPTIME = {
    "Y": _field("year", r"\d{4}"),
    "y": _field("short", r"\d{2}"),
    "m": _field("month", r"\d{1,2}"),
    "d": _field("day", r"\d{1,2}"),
    "e": _field("day", r" ?\d{1,2}"),
    "H": _field("hour", r"\d{1,2}"),
    "k": _field("hour", r" ?\d{1,2}"),
    "I": _field("hour12", r"\d{1,2}"),
    "M": _field("minute", r"\d{1,2}"),
    "S": _field("second", r"\d{1,2}"),
    "f": _field("fraction", r"\d{1,9}"),
    "b": _SHORT,
    "h": _SHORT,
    "B": _LONG,
    "p": _AMPM,
    "a": _DAYS,
    "A": _DAYS,
    "z": _ZONE,
    "Z": _ZONE,
    "%": "%",
}
_COMPOSED = {
    "T": "%H:%M:%S",
    "F": "%Y-%m-%d",
    "R": "%H:%M",
    "D": "%m/%d/%y",
    "c": "%a %b %e %H:%M:%S %Y",
}


class FormatError(ValueError):
    """A format that is not understood; the message says why."""


@cache
def pattern_of(written: str) -> str:
    """The regular expression of a format, with named groups for the parts of a time.

    Raises FormatError for what is neither a format of strptime (it has a %), nor of Java, nor
    `iso`.
    """
    if written == "iso":
        return f"^{_ISO}$"
    pattern = "".join(_strptime(written) if "%" in written else _java(written))
    try:
        names = re.compile(pattern).groupindex.keys()
    except re.error as error:
        raise FormatError(f"names one part of the time twice ({error})") from None
    if (
        "day" not in names
        or not names & {"year", "short", "century"}
        or not names & {"month", "name"}
    ):
        raise FormatError("names no day, month and year")
    return f"^{pattern}$"


def check(written: str) -> None:
    """Raises FormatError for a format that `parse` does not understand."""
    if written not in UNITS:
        pattern_of(written)


def _strptime(written: str) -> Iterator[str]:
    expanded = re.sub(r"%([TFRDc])", lambda found: _COMPOSED[found[1]], written)
    for letter, blank, text in re.findall(r"%[-#]?(.)|(\s+)|([^%\s]+|%$)", expanded):
        if blank:
            yield r"\s+"
        elif text:
            yield re.escape(text)
        elif letter == "s":
            raise FormatError('holds %s; write "seconds"')
        elif letter not in _STRPTIME:
            raise FormatError(
                f"holds %{letter}, which is not known (known: %{' %'.join(_STRPTIME)})"
            )
        else:
            yield _STRPTIME[letter]


def _java(written: str) -> Iterator[str]:
    pattern = r"((?P<letter>[A-Za-z])(?P=letter)*)|'((?:[^']|'')*)'|(.)"
    for run, letter, quoted, other in re.findall(pattern, written, re.DOTALL):
        if run:
            yield _java_field(letter, len(run))
        elif other in ("[", "]"):
            yield "(?:" if other == "[" else ")?"
        else:
            yield re.escape(other or quoted.replace("''", "'") or "'")


def _java_field(letter: str, length: int) -> str:
    """`dd` has two digits and `d` one or two; `SSS` has up to three."""
    name = {"d": "day", "H": "hour", "h": "hour12", "m": "minute", "s": "second"}.get(letter)
    if name and length <= 2:
        return _field(name, r"\d{2}" if length == 2 else r"\d{1,2}")
    if letter in "yu" and length in (1, 2, 4):
        return _field(
            "century" if length == 2 else "year", {1: r"\d{1,4}", 2: r"\d{2}", 4: r"\d{4}"}[length]
        )
    if letter in "ML" and length <= 4:
        if length > 2:
            return _SHORT if length == 3 else _LONG
        return _field("month", r"\d{2}" if length == 2 else r"\d{1,2}")
    if letter == "S" and length <= 9:
        return _field("fraction", rf"\d{{1,{length}}}")
    if letter in "XxZzVO":
        return _ZONE
    if letter == "a" and length == 1:
        return _AMPM
    if letter == "E" and length <= 4:
        return _DAYS
    raise FormatError(
        f"holds {letter * length}, which is not known (known: yyyy yy MM MMM MMMM d dd HH hh mm ss"
        " SSS a XXX EEE)"
    )


def parse(texts: pa.Array, written: str) -> pa.Array:
    """Moments in UTC, to the microsecond; null for what is not in the format, or on no calendar.

    Behind a MARK, which Parquet's moments have, are microseconds, whatever the format.
    """
    micros, is_moment = (
        _epochs(texts, UNITS[written]) if written in UNITS else _dates(texts, pattern_of(written))
    )
    if (is_marked := _to_numpy(pc.fill_null(pc.starts_with(texts, MARK), False))).any():
        ready, is_ready = _epochs(pc.utf8_ltrim(texts, characters=MARK), 1)
        is_ready &= is_marked
        micros, is_moment = np.where(is_ready, ready, micros), is_moment | is_ready
    is_moment &= (micros >= _FIRST) & (micros <= _LAST)
    return pa.array(micros, pa.int64(), mask=~is_moment).cast(MOMENT)


def _epochs(texts: pa.Array, unit: int) -> Parsed:
    """Microseconds of numbers since 1970, and which texts are such numbers; what is written
    with an exponent is rounded.
    """
    parts = pc.extract_regex(texts, _EPOCH)
    is_plain = _to_numpy(parts.is_valid())
    whole, limit = _integers(parts, "whole"), _LAST // unit + 1
    digits = pc.utf8_rpad(pc.utf8_slice_codeunits(_group(parts, "fraction"), 0, 6), 6, "0")
    fraction = _cast(digits) * unit // 1_000_000
    size = np.minimum(whole, limit) * unit + np.where(whole < limit, fraction, 0)
    micros = np.where(_to_numpy(pc.equal(_group(parts, "sign"), "-")), -size, size)
    floats = pc.if_else(pc.match_substring_regex(texts, _FLOAT), texts, None)
    if floats.null_count == len(floats):
        return micros, is_plain
    scaled = _to_numpy(pc.fill_null(pc.cast(floats, pa.float64()), 0.0)) * unit
    rounded = np.clip(np.rint(scaled), 10.0 * _FIRST, 10.0 * _LAST).astype(np.int64)
    is_float = _to_numpy(floats.is_valid())
    return np.where(is_float, rounded, micros), is_plain | is_float


def _dates(texts: pa.Array, pattern: str) -> Parsed:
    """Microseconds of texts in a format, and which texts are, and name a moment that there is."""
    parts = pc.extract_regex(texts, pattern)
    names = [parts.type.field(number).name for number in range(parts.type.num_fields)]
    found = {name: _group(parts, name) for name in names}
    numbers = {name: _cast(group) for name, group in found.items() if name in _NUMERIC}
    days, is_day = _days(numbers, found)
    seconds, is_time = _seconds(numbers, found)
    micros = (days * 86_400 + seconds) * 1_000_000
    if "fraction" in found:
        micros = micros + _cast(
            pc.utf8_rpad(pc.utf8_slice_codeunits(found["fraction"], 0, 6), 6, "0")
        )
    return micros, _to_numpy(parts.is_valid()) & is_day & is_time


def _days(numbers: dict[str, Numbers], found: dict[str, pa.Array]) -> Parsed:
    """Days since 1970, and which are on the calendar."""
    year, day = _year(numbers), numbers["day"]
    month = numbers["month"] if "month" in numbers else _month(found["name"])
    months = np.clip((year - 1970) * 12 + month - 1, -24_000, 120_000).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (day - 1)
    is_day = (days.astype("datetime64[M]") == months) & (month >= 1) & (month <= 12) & (year >= 1)
    return days.astype(np.int64), is_day


def _seconds(numbers: dict[str, Numbers], found: dict[str, pa.Array]) -> Parsed:
    """Seconds since midnight in UTC, and which are on a clock."""
    hour, is_hour = _hour(numbers, found.get("half"))
    minute, second = (numbers.get(name, np.zeros_like(hour)) for name in ("minute", "second"))
    east = _offset(found["zone"]) if "zone" in found else 0
    return hour * 3_600 + minute * 60 + second - east, is_hour & (minute < 60) & (second < 60)


def _year(numbers: dict[str, Numbers]) -> Numbers:
    """Of two digits, strptime takes 69 to 99 for the last century, Java all for this one."""
    if "short" in numbers:
        return numbers["short"] + np.where(numbers["short"] >= 69, 1900, 2000)
    year: Numbers = numbers["year"] if "year" in numbers else 2000 + numbers["century"]
    return year


def _month(names: pa.Array) -> Numbers:
    first = pc.utf8_slice_codeunits(pc.utf8_lower(names), 0, 3)
    return (
        _to_numpy(pc.fill_null(pc.index_in(first, value_set=pa.array(_MONTHS)), -1)).astype(
            np.int64
        )
        + 1
    )


def _hour(numbers: dict[str, Numbers], half: pa.Array | None) -> tuple[Numbers, Numbers]:
    """The hour of the day, and whether there is such an hour."""
    if "hour12" not in numbers:
        hour = numbers.get("hour", np.zeros_like(numbers["day"]))
        return hour, hour < 24
    hour = numbers["hour12"]
    is_afternoon = (
        0
        if half is None
        else _to_numpy(pc.equal(pc.utf8_slice_codeunits(pc.utf8_lower(half), 0, 1), "p"))
    )
    return hour % 12 + np.where(is_afternoon, 12, 0), (hour >= 1) & (hour <= 12)


def _offset(zones: pa.Array) -> Numbers:
    """Seconds east of UTC."""
    parts = pc.extract_regex(zones, r"^(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2})?$")
    size = _integers(parts, "hours") * 3_600 + _integers(parts, "minutes") * 60
    east: Numbers = np.where(_to_numpy(pc.equal(_group(parts, "sign"), "-")), -size, size)
    return east


def _group(parts: pa.Array, name: str) -> pa.Array:
    """A named group of each text; the empty text where the expression does not match."""
    return pc.fill_null(pc.struct_field(parts, name), "")


def _integers(parts: pa.Array, name: str) -> Numbers:
    return _cast(_group(parts, name))


def _cast(digits: pa.Array) -> Numbers:
    trimmed = pc.utf8_trim(digits, characters=" ")
    return _to_numpy(pc.cast(pc.if_else(pc.equal(trimmed, ""), "0", trimmed), pa.int64()))


def _to_numpy(array: pa.Array) -> Numbers:
    numbers: Numbers = array.to_numpy(zero_copy_only=False)
    return numbers
