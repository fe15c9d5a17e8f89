"""What a gate says, and what it lets through."""

import json
import math
from dataclasses import asdict

import pytest

from emberline.datasets import typed_json
from emberline.datasets.measures import Measured, Protocol, Report
from emberline.datasets.released import Measure
from emberline.datasets.sketch import BINS, Sketch
from emberline.errors import ConfigError
from emberline.publish import gates
from emberline.publish.gates import Gate

REPORTS = {
    "holdout": Report(
        Protocol("of a test", "aaa"),
        [
            Measured("als", "ndcg@10", 0.2),
            Measured("als", "recall@10/min(k,n)", 0.5),
            Measured("random", "ndcg@10", 0.01),
        ],
    ),
    "cold items": Report(Protocol("of a test", "bbb"), [Measured("random", "ndcg@10", 0.04)]),
}
NOW = gates.measures(REPORTS, {"recommendations": 3000})


def holds(text: str, before: dict[str, Measure] | None = None) -> bool:
    (verdict,) = gates.judge([gates.parse(text)], NOW, before, "als")
    return verdict.holds


def test_a_gate_has_a_name_a_comparison_and_a_limit() -> None:
    assert gates.parse("ndcg@10 >= 0.9 * previous") == Gate(
        "ndcg@10 >= 0.9 * previous", "ndcg@10", ">=", 0.9, "previous"
    )
    assert gates.parse(" ndcg@10>=previous ") == Gate(
        "ndcg@10>=previous", "ndcg@10", ">=", 1.0, "previous"
    )
    assert gates.parse("rows.items < 1e6") == Gate("rows.items < 1e6", "rows.items", "<", 1e6, None)
    assert (
        gates.parse("cold items:cnn.recall@20/min(k,n) > .2").name
        == "cold items:cnn.recall@20/min(k,n)"
    )


def test_a_limit_may_be_another_models_value_in_the_same_report() -> None:
    assert gates.parse("ndcg@10 >= 1.3 * most-popular") == Gate(
        "ndcg@10 >= 1.3 * most-popular", "ndcg@10", ">=", 1.3, "most-popular"
    )
    assert (
        holds("ndcg@10 >= random")
        and holds("ndcg@10 >= 20 * random")
        and not holds("ndcg@10 > 20.1 * random")
    )
    with pytest.raises(
        ConfigError,
        match=r"most-popular has no ndcg@10; what it may be compared with: previous, random",
    ):
        holds("ndcg@10 >= most-popular")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ndcg@10",
        "> 3",
        "ndcg@10 > ",
        "ndcg@10 > -1",
        "ndcg@10 > 1 previous",
        "a > b c",
        "a > 2 *",
    ],
)
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"expected something like 'ndcg@10 >= 0\.9"):
        gates.parse(text)


@pytest.mark.parametrize("operator", ["=<", "=>", "=", "==", "!=", "<>", "≤", "≥", "=>=", "<<"])
def test_a_misspelt_operator_is_named(operator: str) -> None:
    for text in (f"ndcg@10 {operator} 1", f"ndcg@10{operator}0.9*previous"):
        with pytest.raises(
            ConfigError, match=f"{operator} does not compare; write one of >=, <=, >, <"
        ):
            gates.parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ndcg@10 >= 0.2", True),
        ("ndcg@10 > 0.2", False),
        ("als.ndcg@10 <= 0.2", True),
        ("ndcg@10 < 0.2", False),
        ("recall@10/min(k,n) > 0.4", True),
        ("holdout:random.ndcg@10 > 0.02", False),
        ("cold items:random.ndcg@10 > 0.02", True),
        ("rows.recommendations >= 3000", True),
        ("rows.recommendations > 3000", False),
    ],
)
def test_a_number_is_compared(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_the_previous_release_is_compared_where_there_is_one() -> None:
    before = NOW | {"holdout:als.ndcg@10": Measure(0.22, "aaa")}
    assert holds("ndcg@10 >= 0.9 * previous", before)
    assert not holds("ndcg@10 >= 0.92 * previous", before)
    assert holds("ndcg@10 >= 0.92 * previous", None)


def sketch(rows: range) -> Sketch:
    return Sketch.of(len(rows), rows.stop, {row % BINS: row for row in rows})


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        (range(1000, 1100), ""),  # the same, and more
        (range(1010, 1128), ""),  # a window that has moved
        (
            range(5000, 5128),
            (
                "measured on other data: of the previous release's and these, the smaller has 0% in"
                " common"
            ),
        ),
    ],
)
def test_data_that_grow_are_compared_and_others_are_not(before: range, reason: str) -> None:
    now = {"holdout:als.ndcg@10": Measure(0.2, "aaa", sketch(range(1000, 1120)))}
    earlier = {"holdout:als.ndcg@10": Measure(0.2, "aaa", sketch(before))}
    (verdict,) = gates.judge([gates.parse("ndcg@10 >= 0.9 * previous")], now, earlier, "als")
    assert verdict.holds is not bool(reason)
    assert verdict.reason.startswith(reason)
    assert (
        typed_json.build(Measure, json.loads(json.dumps(asdict(now["holdout:als.ndcg@10"]))))
        == now["holdout:als.ndcg@10"]
    )


def test_another_protocol_is_not_compared() -> None:
    before = NOW | {"holdout:als.ndcg@10": Measure(0.1, "old")}
    (verdict,) = gates.judge([gates.parse("ndcg@10 >= previous")], NOW, before, "als")
    assert not verdict.holds
    assert verdict.reason == "measured by protocol aaa, the previous release by old"


def test_what_the_previous_release_lacks_does_not_hold() -> None:
    assert not holds("rows.recommendations >= 0.5 * previous", {})


def test_not_a_number_passes_no_gate() -> None:
    now = {"holdout:als.ndcg@10": Measure(math.nan, "aaa")}
    for compare in ("<", "<=", ">", ">="):
        (verdict,) = gates.judge([gates.parse(f"ndcg@10 {compare} 1")], now, None, "als")
        assert not verdict.holds


def test_a_name_that_is_not_measured_is_told_what_is_like_it() -> None:
    with pytest.raises(ConfigError, match=r"gate on 'ndcg@20': that is not measured; .*ndcg@10"):
        gates.resolve("ndcg@20", NOW, "als")


def test_a_name_that_two_reports_have_is_told_which() -> None:
    with pytest.raises(
        ConfigError,
        match=r"one of 'holdout:random\.ndcg@10', 'cold items:random\.ndcg@10'; say which",
    ):
        gates.resolve("random.ndcg@10", NOW, "als")
