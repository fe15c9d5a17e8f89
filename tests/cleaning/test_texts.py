"""Texts, ids and numbers: one spelling, and what is none."""

import re
import unicodedata

import pyarrow as pa
import pytest

from emberline.cleaning import ids, numbers, texts
from emberline.cleaning.ids import IdRules
from emberline.cleaning.numbers import NumberRules
from emberline.cleaning.texts import TextRules


def test_every_blank_of_unicode_around_a_text_is_no_part_of_it() -> None:
    blanks = [
        chr(code) for code in range(0x110000) if chr(code).isspace() and not 28 <= code < 32
    ] + ["\ufeff", "\u200b"]
    found = texts.clean(pa.array([f"{blank}a b{blank}" for blank in blanks]), TextRules())
    assert found.to_pylist() == ["a b"] * len(blanks)


def test_nulls_are_no_people() -> None:
    found = texts.clean(
        pa.array(["NULL", "nan", " N/A\t", "None", "\\N", "", " ", None, "Null", "0", "nano"]),
        TextRules(),
    )
    assert found.to_pylist() == [None] * 8 + ["Null", "0", "nano"]
    assert texts.clean(pa.array(["NULL", "", "?"]), TextRules(nulls=("?",))).to_pylist() == [
        "NULL",
        None,
        None,
    ]


def test_accents_have_one_form() -> None:
    names = ["Björn", "Zoë", "Ångström", "한글", "plain"]
    decomposed = [unicodedata.normalize("NFD", name) for name in names]
    assert texts.clean(pa.array(decomposed), TextRules()).to_pylist() == names
    assert texts.clean(pa.array(decomposed), TextRules(normalize=False)).to_pylist() == decomposed


def test_patterns_clean_ids_before_they_become_integers() -> None:
    found = pa.array(["cust-0017", "cust-18.0", "19", "cust-", "x"])
    spelled, one = ids.clean(found, IdRules("integer", (("^cust-", ""),)))
    assert one.to_pylist() == ["17", "18", "19", None, None]
    assert spelled.to_pylist() == ["0017", "18.0", "19", None, "x"]
    _, swapped = ids.clean(pa.array(["a-1", "b"]), IdRules("text", ((r"^(\w)-(\d)$", r"\2\1"),)))
    assert swapped.to_pylist() == ["1a", "b"]


@pytest.mark.parametrize("pattern", ["^(?!C)", r"(.)\1"])
def test_a_pattern_that_looks_around_or_back_is_pythons(pattern: str) -> None:
    words = ["C17", "17", "aa", None, "", "aa"]
    assert not texts.is_linear(pattern)
    expected = [re.search(pattern, word or "") is not None for word in words]
    assert texts.matches(pa.array(words), pattern).to_pylist() == expected
    assert texts.replace(pa.array(["xaay", "b"]), r"(a)\1", r"\1").to_pylist() == ["xay", "b"]


@pytest.mark.parametrize(
    ("decimal", "thousands", "good", "bad"),
    [
        (
            ".",
            "",
            {"1.5": 1.5, "+.5": 0.5, "5.": 5.0, "-1e3": -1000.0, "007": 7.0},
            ["1,5", "nan", "inf", "0x1", "1_0", ".", "٣"],
        ),
        (",", "", {"1,5": 1.5, ",5": 0.5, "3": 3.0, "-2,50": -2.5}, ["1.5", "1,5,0"]),
        (
            ",",
            ".",
            {"1.234,5": 1234.5, "1.234.567": 1234567.0, "12": 12.0, "1234,5": 1234.5},
            ["1.23,5", "1.5", "1,5.0"],
        ),
        (".", ",", {"1,234.5": 1234.5, "999": 999.0}, ["1,23", "1.234,5"]),
        (",", "\u202f", {"1\u202f234,5": 1234.5}, ["1 234,5"]),
    ],
)
def test_numbers_are_read_as_they_are_written(
    decimal: str, thousands: str, good: dict[str, float], bad: list[str]
) -> None:
    found = numbers.parse(pa.array([*good, *bad]), NumberRules(decimal, thousands))
    assert found.to_pylist() == [*good.values(), *[None] * len(bad)]
