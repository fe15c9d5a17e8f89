"""Outside ids of people and items: one spelling each."""

from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import texts

_INTEGER = r"^-?\d{1,38}(\.0*)?$"
FLOAT = r"^-?\d{1,38}\.0+$"


@dataclass(frozen=True)
class IdRules:
    """Whether an id is any text or an integer, and pairs of (pattern, replacement) that are
    applied before.
    """

    kind: Literal["text", "integer"] = "text"
    patterns: tuple[tuple[str, str], ...] = ()


def clean(found: pa.Array, rules: IdRules) -> tuple[pa.Array, pa.Array]:
    """Of trimmed texts: what the patterns leave of them, and the ids.

    With `integer`, "17850.0" and "017850" are "17850", and what is no integer is null.
    """
    for pattern, replacement in rules.patterns:
        found = pc.utf8_trim(texts.replace(found, pattern, replacement), characters=texts.BLANKS)
    if rules.patterns:
        found = pc.if_else(pc.equal(found, ""), None, found)
    return found, found if rules.kind == "text" else _integers(found)


def _integers(found: pa.Array) -> pa.Array:
    whole = pc.replace_substring_regex(found, r"^(-?)0*(\d+)(?:\.0*)?$", r"\1\2")
    whole = pc.if_else(pc.equal(whole, "-0"), "0", whole)
    return pc.if_else(pc.match_substring_regex(found, _INTEGER), whole, None)
