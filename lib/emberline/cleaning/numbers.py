"""Numbers as people and programs write them."""

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class NumberRules:
    """The character before the fraction, and the one between groups of three digits, if any."""

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """What a number looks like; neither `nan`, `inf` nor hexadecimal is one."""
        point, group = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d+)" if self.thousands else r"\d+"
        return rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"


def parse(texts: pa.Array, rules: NumberRules) -> pa.Array:
    """float64; null for what is no number, infinite for what is too large for one."""
    is_number = pc.match_substring_regex(texts, rules.pattern)
    plain = pc.if_else(is_number, texts, None)
    if rules.thousands:
        plain = pc.replace_substring(plain, rules.thousands, "")
    if rules.decimal != ".":
        plain = pc.replace_substring(plain, rules.decimal, ".")
    return pc.cast(plain, pa.float64())
