"""Pipelines written as TOML are read as what they were."""

import tomllib
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.tuning import toml

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = (
    TEXTS
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.lists(st.dictionaries(TEXTS, PLAIN), max_size=2)
SECTIONS = st.dictionaries(
    TEXTS,
    VALUES | st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, PLAIN, max_size=2), max_size=3),
    max_size=4,
)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(SECTIONS)
def test_what_is_written_is_read(content: dict[str, Any]) -> None:
    assert tomllib.loads(toml.written(content)) == content


def test_nothing_is_left_out_and_days_are_days() -> None:
    content = {"a": None, "b": {"day": date(2024, 2, 1), "c": {"d": [1, 2.5]}}}
    assert toml.written(content) == "[b]\nday = 2024-02-01\n\n[b.c]\nd = [1, 2.5]\n"
