"""What `metrics.json` says: what is written is read again, and what is none of it is refused by
name.
"""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.strategies import values

from emberline.datasets.measures import Measured, Protocol, Report, reports_in

NAMES = st.text(max_size=5)
ROWS = values(Measured).filter(lambda row: row.over)
PROTOCOLS = st.builds(
    Protocol,
    NAMES,
    NAMES,
    values(dict[str, Any]).filter(lambda facts: not {"name", "hash"} & facts.keys()),
)


@given(report=values(Report), protocol=PROTOCOLS, rows=st.lists(ROWS, max_size=2))
def test_what_is_written_is_read_again(
    report: Report, protocol: Protocol, rows: list[Measured]
) -> None:
    said = replace(report, protocol=protocol, metrics=rows)
    again = json.loads(json.dumps({"holdout": said.to_json()}))
    assert reports_in(again) == {"holdout": said}


def test_a_protocol_is_written_with_its_facts_beside_name_and_hash() -> None:
    assert Protocol("n", "h", {"users": "all"}).to_json() == {
        "name": "n",
        "hash": "h",
        "users": "all",
    }


ROW = {"model": "als", "metric": "ndcg@10", "value": 0.5, "users": 3}
GOOD = {"protocol": {"name": "n", "hash": "h"}, "metrics": [ROW]}


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ([], "reports.holdout: expected an object, found a list"),
        ({}, "reports.holdout.protocol: expected an object, found None"),
        (GOOD | {"protocol": {"name": "n"}}, "reports.holdout.protocol.hash is missing"),
        (GOOD | {"protocol": {"name": 1, "hash": "h"}}, "protocol.name: expected a text, found 1"),
        (GOOD | {"metrics": {}}, "reports.holdout.metrics: expected a list, found an object"),
        (GOOD | {"metrics": ["x"]}, r"metrics\[0\]: expected an object, found 'x'"),
        (GOOD | {"metrics": [ROW | {"value": "1"}]}, r"metrics\[0\].value: expected a number"),
        (GOOD | {"metrics": [ROW | {"users": -1}]}, r"metrics\[0\].users: expected a whole number"),
        (
            GOOD | {"metrics": [ROW | {"users": None}]},
            r"metrics\[0\]: expected one of users, items",
        ),
        (GOOD | {"metrics": [ROW | {"subject": "als"}]}, r"metrics\[0\].subject is not known"),
        (GOOD | {"metrics": [{"subject": "als"}]}, r"metrics\[0\].subject is not known"),
        (GOOD | {"data": {"rows": 1, "hash": "h", "marks": "x"}}, "marks: expected 512 characters"),
        (GOOD | {"confusion": {"cnn": [[1, "2"]]}}, r"confusion.cnn\[0\]\[1\]: expected a whole"),
        (GOOD | {"mood": "good"}, "reports.holdout.mood is not known"),
    ],
)
def test_what_is_no_report_is_refused_by_name(report: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        reports_in({"holdout": report})
    assert "\n" not in str(refused.value)
