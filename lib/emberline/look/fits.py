"""Which settings would read the texts that were found: time formats, ways to write numbers,
encodings.
"""

import codecs
import re
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import numbers, times
from emberline.cleaning.numbers import NumberRules

ENOUGH = 0.95  # of the texts
_FEW = 5  # texts that say whether a format is worth a try with all
_DAYS = [
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%Y.%m.%d",
    "%d.%m.%y",
    "%d/%m/%y",
    "%m/%d/%y",
]
_DAYS += [
    "%Y%m%d",
    "%d %b %Y",
    "%d %B %Y",
    "%b %d, %Y",
    "%B %d, %Y",
    "%d-%b-%Y",
    "%a, %d %b %Y",
    "%d/%b/%Y",
]
_HOURS = (
    "",
    " %H:%M",
    " %H:%M:%S",
    " %H:%M:%S.%f",
    ", %H:%M",
    ", %H:%M:%S",
    " %I:%M %p",
    " %I:%M:%S %p",
    "T%H:%M:%S",
    ":%H:%M:%S",
)
_NUMERIC = ("%Y%m%d%H%M%S", "%Y%m%d%H%M")
_OTHERS = (*_NUMERIC, "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y")
_WAYS = [
    NumberRules(d, t)
    for d, t in (
        (".", ""),
        (",", ""),
        (",", "."),
        (".", ","),
        (",", " "),
        (",", "\u00a0"),
        (",", "\u202f"),
    )
]
_WAYS += [NumberRules(".", "'")]
ENCODINGS = (
    "utf-8",
    "utf-16",
    "cp1252",
    "cp1250",
    "cp1251",
    "cp932",
    "euc_jp",
    "cp949",
    "gb18030",
    "big5",
    "latin-1",
)
# Letters that stand together in a language; accented ones of Latin do so alone, or in pairs.
_SCRIPTS = [r"(?<![À-ɏ])[À-ɏ]{1,2}(?![À-ɏ])", "[Ѐ-ӿ]", "[가-힣]", "[ぁ-ヿ一-鿿]"]


def formats(texts: pa.Array) -> list[str]:
    """The time formats that read nearly all of the texts, and more of them than any other; the
    simplest first.
    """
    found = texts.drop_null()
    if number := unit(found):
        return [
            number,
            *(written for written in _NUMERIC if _share(times.parse(found, written)) >= ENOUGH),
        ]
    if _share(times.parse(found, "iso")) >= ENOUGH:
        return ["iso"]
    likely = [
        written
        for written in _candidates(found)
        if times.parse(found[:_FEW], written).null_count < min(_FEW, len(found))
    ]
    shares = {written: _share(times.parse(found, written)) for written in likely}
    best = max(shares.values(), default=0.0)
    return [written for written, share in shares.items() if share >= max(ENOUGH, best)]


def unit(texts: pa.Array) -> str | None:
    """The unit of numbers that are times of this age, by their size; None for other texts."""
    found = texts.drop_null()
    is_number = pc.match_substring_regex(found, r"^\d{9,17}(\.\d*)?$")
    if not len(found) or pc.sum(is_number).as_py() < ENOUGH * len(found):
        return None
    digits = pc.max(pc.utf8_length(pc.replace_substring_regex(found, r"\..*$", ""))).as_py()
    return "seconds" if digits <= 11 else "milliseconds" if digits <= 14 else "microseconds"


def _candidates(found: pa.Array) -> Iterable[str]:
    """The formats whose day, or the whole of which, begins one of the first texts."""
    first = found[:_FEW].to_pylist()
    yield from (other for other in _OTHERS if _begins(other, first))
    days = [day for day in _DAYS if _begins(day, first)]
    for hours in _HOURS:
        for zone in ("", " %z", "%z") if hours else ("",):
            yield from (f"{day}{hours}{zone}" for day in days)


def _begins(written: str, texts: list[str]) -> bool:
    start = re.compile(times.pattern_of(written).removesuffix("$"))
    return any(start.match(text) for text in texts)


def number_ways(texts: pa.Array) -> list[NumberRules]:
    """The ways of writing numbers by which nearly all of the texts are some."""
    found = texts.drop_null()
    return [way for way in _WAYS if len(found) and _share(numbers.parse(found, way)) >= ENOUGH]


def encodings(start: bytes) -> list[str]:
    """The encodings in which the beginning of a file is text, the likeliest first."""
    texts = {name: text for name in ENCODINGS if (text := _decoded(start, name)) is not None}
    return sorted(texts, key=lambda name: -_likelihood(name, texts[name]))


def _decoded(start: bytes, name: str) -> str | None:
    """The text, but for a last character that is cut; None where it is none in this encoding."""
    if name == "utf-16" and not start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None
    try:
        text = codecs.getincrementaldecoder(name)().decode(start)
    except UnicodeError:
        return None
    return None if any(0x80 <= ord(character) < 0xA0 for character in text) else text


def _likelihood(name: str, text: str) -> float:
    """To a tenth, the share of the characters beyond ASCII that are letters of one script;
    Japanese has kana.
    """
    if name.startswith("utf"):  # what is valid by chance is hardly longer than a letter
        return 1.0
    if name in ("cp932", "euc_jp") and not re.search("[ぁ-ヿ]", text):
        return 0.0
    others = sum(character > "\x7f" for character in text)
    of_one = max(sum(len(found) for found in re.findall(script, text)) for script in _SCRIPTS)
    return round(of_one / others, 1) if others else 1.0


def _share(parsed: pa.Array) -> float:
    return 1 - parsed.null_count / len(parsed) if len(parsed) else 0.0
