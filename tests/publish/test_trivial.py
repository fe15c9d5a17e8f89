"""What every model has to beat, and what is said and refused where it does not."""

from typing import Any

import pytest

from emberline.publish import trivial
from emberline.publish.trivial import Loss

Row = dict[str, Any]


def row(model: str, metric: str, value: float) -> Row:
    return {"model": model, "metric": metric, "value": value, "standard_error": 0.01}


def report(*rows: Row) -> Row:
    return {"protocol": {"hash": "a"}, "metrics": list(rows)}


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


def test_a_model_that_loses_is_named_with_the_numbers() -> None:
    assert trivial.losses(REPORTS) == [
        Loss("als", "most-popular", "ndcg@10", 0.078, 0.08, 0.01),
        Loss("als", "biases", "rmse", 0.9, 0.87, 0.01),
        Loss("cnn", "mean-factors", "auc", 0.49, 0.5, 0.01),
        Loss("forest", "most-frequent", "accuracy", 0.4, 0.5, 0.01),
    ]


def test_nobody_loses_where_nothing_or_no_trivial_answer_is_measured() -> None:
    assert trivial.losses({}) == []
    assert trivial.losses({"holdout": report(row("als", "ndcg@10", 0.0))}) == []
    assert (
        trivial.losses(
            {"holdout": report(row("als", "ndcg@10", 0.08), row("most-popular", "ndcg@10", 0.08))}
        )
        == []
    )


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        (["recommendations", "users"], ["holdout:als.ndcg@10 >= most-popular"]),
        (["user_rating_factors"], ["holdout:als.rmse <= biases"]),
        (["predicted_factors"], ["cold items:cnn.auc >= mean-factors"]),
        (["predicted_classes"], ["classes:cnn.accuracy >= most-frequent"]),
        (["items"], []),
    ],
)
def test_what_is_served_is_asked_to_beat_a_trivial_answer(
    tables: list[str], expected: list[str]
) -> None:
    assert [gate.text for gate in trivial.gates(REPORTS, tables, "als")] == expected


def test_lists_of_another_model_than_the_one_that_is_measured_are_asked_nothing() -> None:
    assert trivial.gates(REPORTS, ["recommendations"], "item-neighbors") == []
