"""What every model has to beat, and what is said and refused where it does not."""

from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from emberline.cli.outcomes import show_outcomes
from emberline.datasets.measures import Compared, Measured, Protocol, Report
from emberline.publish import standing as standings
from emberline.publish import trivial
from emberline.publish.trivial import Comparison
from emberline.report import gains
from emberline.runs.runner import Outcome
from emberline.stages import STAGES

Row = dict[str, Any]
STAGE = {stage.name: stage for stage in STAGES}


def row(model: str, metric: str, value: float, error: float | None = 0.01) -> Measured:
    return Measured(model, metric, value, error, users=3)


def report(*rows: Measured) -> Report:
    return Report(Protocol("of a test", "a"), list(rows))


def _told(reports: dict[str, Report]) -> dict[str, Any]:
    return {"reports": {name: report.to_json() for name, report in reports.items()}}


def _shown(reports: dict[str, Report]) -> str:
    console = Console(record=True, width=200)
    outcome = Outcome(STAGE["evaluate"], "run", "never run here", 1.0, {}, _told(reports))
    show_outcomes(console, [outcome])
    return console.export_text()


LISTS = [
    row("als", "ndcg@10", 0.078),
    row("als", "ndcg@5", 0.1),
    row("most-popular", "ndcg@10", 0.08),
]
REPORTS = {
    "holdout": report(
        *LISTS,
        row("als", "rmse", 0.9),
        row("user-neighbors", "rmse", 0.8),
        row("biases", "rmse", 0.87),
    ),
    "cold items": report(
        row("cnn", "auc", 0.49), row("oracle", "auc", 0.9), row("mean-factors", "auc", 0.5)
    ),
    "classes": report(
        row("cnn", "accuracy", 0.6),
        row("forest", "accuracy", 0.4),
        row("most-frequent", "accuracy", 0.5),
    ),
}


def test_a_model_that_does_not_beat_a_trivial_answer_is_named_with_the_numbers() -> None:
    assert trivial.not_beaten(REPORTS) == [
        Comparison("als", "most-popular", "ndcg@10", 0.078, 0.08, 0.01, "undecided"),
        Comparison("als", "biases", "rmse", 0.9, 0.87, 0.01, "worse"),
        Comparison("cnn", "mean-factors", "auc", 0.49, 0.5, 0.01, "undecided"),
        Comparison("forest", "most-frequent", "accuracy", 0.4, 0.5, 0.01, "worse"),
    ]


def test_where_a_test_has_told_two_apart_its_p_is_said_and_no_error_beside_it() -> None:
    """The error is small, and what the test says is not what the error would: it is over these
    items, too, of which there are few.
    """
    cold = report(row("content", "auc", 0.6, 0.002), row("mean-factors", "auc", 0.5, 0.002))
    tested = Compared("content", "mean-factors", "auc", 0.1, [-0.1, 0.3], 0.2, 0.31)
    reports = {"cold items": replace(cold, comparisons=[tested])}
    said = "a difference that may be chance (p = 0.310 on the same users and items)"
    assert gains.losses(reports) == [
        "content is no better than mean-factors, a trivial answer: auc 0.600 against 0.500, "
        f"{said}."
    ]
    shown = _shown(reports)
    assert f"content is no better than mean-factors: auc 0.6000 against 0.5000, {said};" in shown
    assert "± is one standard error over users or over items, the larger" in shown


def test_lists_that_lose_by_a_test_lose_on_the_same_users() -> None:
    tested = Compared("als", "most-popular", "ndcg@10", -0.002, [-0.003, -0.001], 0.001, 0.004)
    reports = {"holdout": replace(report(*LISTS), comparisons=[tested])}
    shown = _shown(reports)
    assert "ndcg@10 0.0780 against 0.0800 (p < 0.005 on the same users);" in shown
    assert shown.partition("; ± is ")[2].startswith("one standard error\n")


# als against most-popular with standard errors of .003 and .004: of the difference .005, so that
# .010 is what tells two values apart; None is an error that is not known
RULE = [
    (0.089, 0.1, 0.003, "worse"),
    (0.091, 0.1, 0.003, "undecided"),
    (0.1, 0.1, 0.003, "undecided"),
    (0.109, 0.1, 0.003, "undecided"),
    (0.111, 0.1, 0.003, "better"),
    (0.05, 0.1, None, "undecided"),
]


@pytest.mark.parametrize(("value", "popular", "error", "standing"), RULE)
def test_the_console_the_gates_and_the_report_say_the_same_of_the_same_numbers(
    value: float, popular: float, error: float | None, standing: str
) -> None:
    reports = {
        "holdout": report(
            row("als", "ndcg@10", value, error), row("most-popular", "ndcg@10", popular, 0.004)
        )
    }
    shown = _shown(reports)
    words = {
        "worse": "als loses to most-popular",
        "undecided": "als is no better than most-popular",
    }
    assert [text for text in words.values() if text in shown] == [
        words[each] for each in (standing,) if each in words
    ]
    found = gains.losses(reports)
    assert [text.partition(",")[0] for text in found] == [
        words[each] for each in (standing,) if each in words
    ]
    (verdict,) = trivial.verdicts(reports, ["recommendations"], "als")
    assert verdict.holds == (standing != "worse")
    assert bool(verdict.reason) == (standing == "undecided")
    assert verdict.limit == (None if error is None else pytest.approx(0.09))


def test_nobody_loses_where_nothing_or_no_trivial_answer_is_measured() -> None:
    assert trivial.not_beaten({}) == []
    assert trivial.not_beaten({"holdout": report(row("als", "ndcg@10", 0.0))}) == []
    assert (
        trivial.not_beaten(
            {"holdout": report(row("als", "ndcg@10", 0.12), row("most-popular", "ndcg@10", 0.08))}
        )
        == []
    )


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["recommendations", "users"], ["holdout:als.ndcg@10 is no worse than most-popular"]),
        (["user_rating_factors"], ["holdout:als.rmse is no worse than biases"]),
        (["predicted_factors"], ["cold items:cnn.auc is no worse than mean-factors"]),
        (["predicted_classes"], ["classes:cnn.accuracy is no worse than most-frequent"]),
        (["items"], []),
    ],
)
def test_what_is_served_is_asked_to_beat_a_trivial_answer(
    tables: list[str], expected: list[str]
) -> None:
    assert [verdict.gate for verdict in trivial.verdicts(REPORTS, tables, "als")] == expected


def test_the_limit_of_an_error_is_above_the_trivial_answers() -> None:
    (verdict,) = trivial.verdicts(REPORTS, ["user_rating_factors"], "als")
    assert not verdict.holds and verdict.limit == pytest.approx(0.87 + 2 * 0.01 * 2**0.5)


def test_lists_of_another_model_than_the_one_that_is_measured_are_asked_nothing() -> None:
    assert trivial.verdicts(REPORTS, ["recommendations"], "item-neighbors") == []


@pytest.mark.parametrize(
    ("interval", "adjusted", "standing"),
    [
        ([0.001, 0.003], 0.01, "better"),
        ([0.001, 0.003], 0.06, "undecided"),  # by chance, among so many comparisons
        ([-0.001, 0.003], 0.01, "undecided"),
        (None, 0.01, "undecided"),
        ([-0.003, -0.001], 0.01, "worse"),
    ],
)
def test_models_that_were_compared_on_the_same_users_are_told_apart_by_that(
    interval: list[float] | None, adjusted: float, standing: str
) -> None:
    """Whatever their own errors, and whichever of the two was named first."""
    difference = sum(interval) / 2 if interval else 0.002
    als, popular = row("als", "ndcg@10", 0.082), row("most-popular", "ndcg@10", 0.08)
    turned = interval and [-interval[1], -interval[0]]
    for compared in (
        Compared("als", "most-popular", "ndcg@10", difference, interval, 0.001, adjusted),
        Compared("most-popular", "als", "ndcg@10", -difference, turned, 0.001, adjusted),
    ):
        found = replace(report(als, popular), comparisons=[compared])
        assert standings.standing(als, popular, found) == standing
        reports = {"holdout": found}
        assert [each.standing for each in trivial.not_beaten(reports)] == (
            [] if standing == "better" else [standing]
        )
        (verdict,) = trivial.verdicts(reports, ["recommendations"], "als")
        assert verdict.holds == (standing != "worse")


def test_a_lower_error_is_better_and_nothing_is_better_of_what_has_no_direction() -> None:
    compared = Compared("als", "biases", "rmse", -0.02, [-0.03, -0.01], 0.001, 0.001)
    found = replace(report(row("als", "rmse", 0.8)), comparisons=[compared])
    rows = row("als", "rmse", 0.8), row("biases", "rmse", 0.82)
    assert standings.standing(*rows, found) == "better"
    assert standings.margin(*rows, found) == pytest.approx(0.01)
    spread = row("als", "gini@10", 0.1, 0.001), row("random", "gini@10", 0.9, 0.001)
    assert standings.standing(*spread) == "undecided"
