"""Which settings would read what was found."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from emberline.look import fits

FIRST = datetime(2021, 3, 1, 22, 5, 9, tzinfo=UTC)
MOMENTS = [FIRST + timedelta(hours=37 * n, seconds=n) for n in range(40)]


@pytest.mark.parametrize(
    "written",
    [
        "%d.%m.%Y %H:%M",
        "%Y/%m/%d",
        "%d-%b-%Y %H:%M:%S",
        "%m/%d/%Y %I:%M %p",
        "%a %b %d %H:%M:%S %Y",
        "%d.%m.%y",
        "%d/%b/%Y:%H:%M:%S %z",
    ],
)
def test_the_format_of_written_times_is_found(written: str) -> None:
    texts = pa.array([*(moment.strftime(written) for moment in MOMENTS), None, "?"])
    assert fits.formats(texts) == [written]


@pytest.mark.parametrize(
    ("unit", "factor"), [("seconds", 1), ("milliseconds", 1000), ("microseconds", 10**6)]
)
def test_the_unit_of_numbers_is_found_by_their_size(unit: str, factor: int) -> None:
    assert fits.formats(
        pa.array([str(int(moment.timestamp()) * factor) for moment in MOMENTS])
    ) == [unit]


def test_iso_is_named_as_such_and_what_is_no_time_has_no_format() -> None:
    assert fits.formats(pa.array([moment.isoformat() for moment in MOMENTS])) == ["iso"]
    assert fits.formats(pa.array([moment.strftime("%Y-%m-%d") for moment in MOMENTS]))[0] == "iso"
    assert fits.formats(pa.array(["noon", "dusk"])) == []
    assert fits.formats(pa.array([None, None], pa.string())) == []


def test_days_that_may_be_months_have_both_formats() -> None:
    assert fits.formats(pa.array(["03/04/2021 10:00", "05/06/2021 11:30"])) == [
        "%d/%m/%Y %H:%M",
        "%m/%d/%Y %H:%M",
    ]


@pytest.mark.parametrize(
    ("texts", "way"),
    [
        (["1,5", "2,25", "3"], (",", "")),
        (["1.234,5", "0,5"], (",", ".")),
        (["1,234.5", "7"], (".", ",")),
        (["1'234.5"], (".", "'")),
    ],
)
def test_a_way_of_writing_numbers_is_found(texts: list[str], way: tuple[str, str]) -> None:
    found = fits.number_ways(pa.array(texts))
    assert (found[0].decimal, found[0].thousands) == way


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Bücher für Größe, naïve", "cp1252"),
        ("Bücher", "utf-8"),
        ("naïve – Привет 日本語", "utf-8"),
        ("Привет мир, книга", "cp1251"),
        ("日本語のテスト", "cp932"),
        ("한국어 시험 책", "cp949"),
        ("简体中文的书籍和音乐", "gb18030"),
        ("Bücher", "utf-16"),
        ("plain", "utf-8"),
    ],
)
def test_the_likeliest_encoding_of_a_beginning_comes_first(text: str, encoding: str) -> None:
    assert fits.encodings(f"id;name\n1;{text}\n".encode(encoding))[0] == encoding
