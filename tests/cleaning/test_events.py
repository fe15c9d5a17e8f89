"""Events of batches, without Spark: what a row is worth, when it is wanted, and which spelling
it had.
"""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from emberline.cleaning import events
from emberline.cleaning.events import EventRules
from emberline.cleaning.ids import IdRules
from emberline.cleaning.numbers import NumberRules

Cells = dict[str, list[str | None]]


def clean(cells: Cells, **rules: Any) -> pa.RecordBatch:
    """Rows of these cells, cleaned; all other columns that are needed are good."""
    count = len(next(iter(cells.values())))
    named: Cells = {"user_id": ["u"] * count, "item_id": ["i"] * count} | cells
    columns = {
        "source_file": ["f"] * count,
        "raw": ["r"] * count,
        "problem": [None] * count,
    } | named
    batch = pa.record_batch(
        {name: pa.array(column, pa.string()) for name, column in columns.items()}
    )
    wanted = frozenset(name for name in named if not name.startswith("_rule_"))
    return events.clean(batch, EventRules(wanted, **rules))


def test_an_event_counts_by_its_kind_times_its_value() -> None:
    cells: Cells = {
        "event": ["view", "buy", "buy", "seen", "hover", None],
        "value": ["2", "3", "x", "5", "1", "1"],
    }
    found = clean(cells, value="count", weights={"view": 1.0, "buy": 2.5, "seen": 0.0})
    assert found["reason"].to_pylist() == [
        None, None, "value is not a number", "event weighs 0", "event has no weight",
        "event is missing",
    ]  # fmt: skip
    assert found["outcome"].to_pylist() == [
        None,
        None,
        "rejected",
        "filtered",
        "rejected",
        "rejected",
    ]
    assert found["value"].to_pylist()[:2] == [2.0, 7.5]
    assert clean({"event": ["hover"]}, value="one", weights={"buy": 2.0}, default_weight=0.5)[
        "value"
    ].to_pylist() == [0.5]


def test_what_a_weight_makes_too_large_for_a_float32_is_rejected_and_not_lost() -> None:
    cells: Cells = {"event": ["buy", "buy", "view"], "value": ["1e30", "1", "1e30"]}
    found = clean(cells, value="count", weights={"view": 1.0, "buy": 1e20})
    reasons = ["value does not fit a float32", None, None]
    assert found["reason"].to_pylist() == reasons
    assert found["value"].null_count == 1


def test_a_window_has_its_first_moment_and_not_its_last() -> None:
    since, until = datetime(2021, 3, 1, tzinfo=UTC), datetime(2021, 4, 1, tzinfo=UTC)
    cells: Cells = {
        "timestamp": [
            "2021-02-28T23:59:59.999999",
            "2021-03-01",
            "2021-03-31 23:59",
            "2021-04-01",
            "soon",
        ]
    }
    found = clean(cells, value="one", timestamp_format="iso", since=since, until=until)
    assert found["reason"].to_pylist() == [
        "earlier than since",
        None,
        None,
        "not before until",
        "timestamp is not iso",
    ]
    assert found["outcome"].to_pylist() == ["filtered", None, None, "filtered", "rejected"]


def test_a_spelling_is_told_where_it_is_not_the_id() -> None:
    found = clean(
        {"user_id": ["Zoe\u0308", "Zo\u00eb", " Zo\u00eb ", "Zo\u00eb\t", "cust-Zo\u00eb"]},
        users=IdRules("text", (("^cust-", ""),)),
    )
    assert set(found["user_id"].to_pylist()) == {"Zo\u00eb"}
    assert found["user_spelling"].to_pylist() == [
        "Zoe\u0308",
        None,
        None,
        "Zo\u00eb\t",
        "cust-Zo\u00eb",
    ]


def test_a_rule_sees_what_is_missing_as_an_empty_text() -> None:
    cells: Cells = {"_rule_0": [None, "", " ", "C1", "1"]}
    found = clean(cells, value="one", reject=((r"^\s*$|^C", "expected"),))
    assert found["reason"].to_pylist() == ["expected"] * 4 + [None]


def test_decimal_commas_are_values_and_a_batch_may_be_empty() -> None:
    assert clean({"value": ["3,5", "1.234,5"]}, numbers=NumberRules(",", "."))[
        "value"
    ].to_pylist() == [3.5, 1234.5]
    assert (
        clean({"value": [], "timestamp": [], "event": []}, weights={"a": 1.0}).schema
        == events.SCHEMA
    )
