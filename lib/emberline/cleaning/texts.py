"""Texts of raw rows without what is around them: one spelling for what people would call the
same text.
"""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

# What Unicode calls white space, and what takes no place at all: zero-width spaces, byte order
# marks.
BLANKS = " \t\n\x0b\x0c\r\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006"
BLANKS += "\u2007\u2008\u2009\u200a\u200b\u200c\u200d\u2028\u2029\u202f\u205f\u2060\u3000\ufeff"
NULLS = ("NULL", "null", "NA", "N/A", "nan", "NaN", "None", "\\N")


@dataclass(frozen=True)
class TextRules:
    """Which texts mean that there is none, besides the empty one; and whether texts get
    Unicode's normal form NFC.
    """

    nulls: tuple[str, ...] = NULLS
    normalize: bool = True


def clean(texts: pa.Array, rules: TextRules) -> pa.Array:
    """The texts without blanks around them, null where nothing is left or they are one of
    `nulls`.
    """
    trimmed = pc.utf8_trim(texts, characters=BLANKS if rules.normalize else " ")
    if rules.normalize:
        trimmed = normalize(trimmed)
    missing = pc.is_in(trimmed, value_set=pa.array(["", *rules.nulls], pa.string()))
    return pc.if_else(missing, None, trimmed)


def normalize(texts: pa.Array) -> pa.Array:
    """The texts in the normal form NFC, in which an accent is part of its letter."""
    is_plain = pc.all(pc.string_is_ascii(texts)).as_py()
    return texts if is_plain in (True, None) else pc.utf8_normalize(texts, form="NFC")


def matches(texts: pa.Array, pattern: str) -> pa.Array:
    """Whether the regular expression is found in each text; a text that is null counts as the
    empty one.
    """
    filled = pc.fill_null(texts, "")
    if is_linear(pattern):
        return pc.match_substring_regex(filled, pattern)
    compiled, codes = re.compile(pattern, re.ASCII), pc.dictionary_encode(filled)
    found = [compiled.search(text) is not None for text in codes.dictionary.to_pylist()]
    return pa.array(found, pa.bool_()).take(codes.indices)


def replace(texts: pa.Array, pattern: str, replacement: str) -> pa.Array:
    """The texts with every match of the regular expression replaced; `\\1` stands for its first
    group.
    """
    if is_linear(pattern):
        return pc.replace_substring_regex(texts, pattern, replacement)
    compiled, codes = re.compile(pattern, re.ASCII), pc.dictionary_encode(texts)
    replaced = [compiled.sub(replacement, text) for text in codes.dictionary.to_pylist()]
    return pa.array(replaced, pa.string()).take(codes.indices)


def is_linear(pattern: str) -> bool:
    """Whether RE2 knows the expression, which takes time linear in the text; it has no
    look-around and no back-references.
    """
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid:
        return False
    return True
