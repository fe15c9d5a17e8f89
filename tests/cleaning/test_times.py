"""Timestamps: every format against Python's own calendar, and what is on no calendar."""

import random
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest

from emberline.cleaning import times
from emberline.records.arrow_texts import MOMENT


def parse(texts: list[str | None], written: str) -> list[datetime | None]:
    found: list[datetime | None] = times.parse(pa.array(texts, pa.string()), written).to_pylist()
    return found


def _moments(count: int) -> list[datetime]:
    rng = random.Random(5)
    first = datetime(1970, 1, 1, tzinfo=UTC)
    return [first + timedelta(seconds=rng.randrange(-(2**31), 2**32)) for _ in range(count)]


@pytest.mark.parametrize(
    ("java", "strptime"),
    [
        ("yyyy-MM-dd HH:mm:ss", "%Y-%m-%d %H:%M:%S"),
        ("dd.MM.yyyy HH:mm:ss", "%d.%m.%Y %H:%M:%S"),
        ("MM/dd/yyyy hh:mm:ss a", "%m/%d/%Y %I:%M:%S %p"),
        ("yyyyMMddHHmmss", "%Y%m%d%H%M%S"),
        ("EEE, dd MMM yyyy HH:mm:ss", "%a, %d %b %Y %H:%M:%S"),
        ("EEEE d MMMM yyyy 'at' H:m:s", "%A %d %B %Y at %H:%M:%S"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "%Y-%m-%dT%H:%M:%S%z"),
        ("[EEE ]yyyy/MM/dd HH:mm:ss.SSSSSS", "%a %Y/%m/%d %H:%M:%S.%f"),
    ],
)
def test_what_pythons_strftime_writes_is_read_by_either_kind_of_format(
    java: str, strptime: str
) -> None:
    moments = _moments(300)
    texts = [moment.strftime(strptime) for moment in moments]
    assert parse(list(texts), strptime) == moments
    assert parse(list(texts), java) == moments


def test_zones_are_taken_into_account() -> None:
    texts = [f"2020-01-01 00:00:00{zone}" for zone in ("Z", "+02:00", "-0530", "+01", "UTC")]
    east = [
        timedelta(0),
        timedelta(hours=2),
        -timedelta(hours=5, minutes=30),
        timedelta(hours=1),
        timedelta(0),
    ]
    expected = [datetime(2020, 1, 1, tzinfo=timezone(offset)) for offset in east]
    assert parse(list(texts), "yyyy-MM-dd HH:mm:ssXXX") == expected
    assert parse(list(texts), "%Y-%m-%d %H:%M:%S%z") == expected


def test_iso_has_a_time_or_none_a_fraction_or_none_and_a_zone_or_none() -> None:
    midnight = datetime(2020, 2, 29, tzinfo=UTC)
    noon = datetime(2020, 2, 29, 12, 30, tzinfo=UTC)
    texts = [
        "2020-02-29",
        "2020-02-29T12:30",
        "2020-02-29 12:30:00.000",
        "2020-02-29T13:30:00.000000001+01:00",
        "2020-02-29 12:30Z",
    ]
    assert parse(list(texts), "iso") == [midnight, noon, noon, noon, noon]
    assert (
        parse(
            ["2020-02-30", "2020-2-1", "29.02.2020", "20200229", "2020-02-29T", "2020-02-29Z"],
            "iso",
        )
        == [None] * 6
    )


def test_days_that_no_calendar_has_are_null() -> None:
    texts = [
        "2019-02-29 00:00:00",
        "2020-13-01 00:00:00",
        "2020-00-10 00:00:00",
        "2020-01-00 00:00:00",
        "2020-01-01 24:00:00",
    ]
    texts += [
        "2020-01-01 00:60:00",
        "2020-01-01 00:00:61",
        "0000-01-01 00:00:00",
        "1900-02-29 00:00:00",
    ]
    assert parse(list(texts), "yyyy-MM-dd HH:mm:ss") == [None] * len(texts)
    assert parse(["2000-02-29 23:59:59", None], "yyyy-MM-dd HH:mm:ss") == [
        datetime(2000, 2, 29, 23, 59, 59, tzinfo=UTC),
        None,
    ]


def test_the_twelve_hours_before_noon_begin_at_midnight() -> None:
    texts = [
        "01/02/2020 12:00 AM",
        "01/02/2020 12:00 pm",
        "01/02/2020 1:00 PM",
        "01/02/2020 13:00 PM",
        "01/02/2020 0:00 AM",
    ]
    hours = [moment and moment.hour for moment in parse(list(texts), "%m/%d/%Y %I:%M %p")]
    assert hours == [0, 12, 13, None, None]


def test_years_of_two_digits_are_strptimes_or_javas() -> None:
    assert [m and m.year for m in parse(["01.01.68", "01.01.69", "01.01.99"], "%d.%m.%y")] == [
        2068,
        1969,
        1999,
    ]
    assert [m and m.year for m in parse(["01.01.68", "01.01.69", "01.01.99"], "dd.MM.yy")] == [
        2068,
        2069,
        2099,
    ]


def test_numbers_since_1970_count_their_unit() -> None:
    expected = datetime(2011, 11, 1, 8, 0, 0, 250_000, tzinfo=UTC)
    assert parse(["1320134400.25"], "seconds") == [expected]
    assert parse(["1320134400250", "1.32013440025e12"], "milliseconds") == [expected, expected]
    assert parse(["1320134400250000", "1320134400250000.9"], "microseconds") == [expected, expected]
    assert parse(["-0.5"], "seconds") == [datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("second", "holds s?e?c?"),
        ("%Y-%m", "names no day"),
        ("HH:mm", "names no day"),
        ("%s", 'write "seconds"'),
        ("%Y-%m-%d %Q", "holds %Q, which is not known"),
        ("yyyy-ww-dd", "holds ww, which is not known"),
        ("dd.dd.MM.yyyy", "twice"),
    ],
)
def test_a_format_that_is_not_understood_says_why(written: str, message: str) -> None:
    with pytest.raises(times.FormatError, match=message):
        times.check(written)


@pytest.mark.parametrize("written", ["seconds", "milliseconds", "%d.%m.%Y", "iso"])
def test_moments_of_parquet_are_themselves_whatever_the_format(written: str) -> None:
    expected = datetime(2011, 11, 1, 8, 0, 0, 250_001, tzinfo=UTC)
    assert parse([f"{MOMENT}1320134400250001", f"{MOMENT}x", None], written) == [
        expected,
        None,
        None,
    ]
