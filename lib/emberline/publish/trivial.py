"""Trivial answers: what every model has to beat before it is worth serving, and which do not.

A report of `metrics.json` has them beside its models, measured in the same way.
"""

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emberline.publish.gates import Gate, parse

Row = dict[str, Any]


@dataclass(frozen=True)
class Trivial:
    """Who answers trivially what a report asks, by which metric it is judged, and where lower
    is better.
    """

    report: str
    model: str
    metric: str
    models: tuple[str, ...]
    lower_is_better: bool = False


@dataclass(frozen=True)
class Loss:
    """A model that a trivial answer is better than, by one metric."""

    model: str
    trivial: str
    metric: str
    value: float
    trivial_value: float
    error: float | None


_LISTS = ("als", "item-neighbors", "user-neighbors")
TRIVIAL = (
    Trivial("holdout", "most-popular", "ndcg@*", _LISTS),
    Trivial("holdout", "biases", "rmse", _LISTS, lower_is_better=True),
    Trivial("cold items", "mean-factors", "auc", ("cnn",)),
    Trivial("classes", "most-frequent", "accuracy", ("cnn", "forest")),
)
# by table, the model whose answers it holds, None for that of the lists, and the metric that it is
# judged by
_SERVED = {
    "recommendations": (None, "ndcg@*"),
    "user_rating_factors": ("als", "rmse"),
    "predicted_factors": ("cnn", "auc"),
    "predicted_classes": ("cnn", "accuracy"),
}


def losses(reports: Mapping[str, Any]) -> list[Loss]:
    """The models that lose to a trivial answer, each by the first metric of its kind."""
    return [
        Loss(
            row["model"],
            trivial.model,
            row["metric"],
            row["value"],
            other["value"],
            row.get("standard_error"),
        )
        for trivial, row, other in _pairs(reports)
        if (
            row["value"] > other["value"]
            if trivial.lower_is_better
            else row["value"] < other["value"]
        )
    ]


def gates(reports: Mapping[str, Any], tables: Collection[str], lists_by: str | None) -> list[Gate]:
    """What is asked of a release of these tables by default: that no model that made them loses
    to a trivial answer.
    """
    served = {
        (model or lists_by, metric) for table, (model, metric) in _SERVED.items() if table in tables
    }
    return [
        parse(
            f"{trivial.report}:{row['model']}.{row['metric']}"
            f" {'<=' if trivial.lower_is_better else '>='} {trivial.model}"
        )
        for trivial, row, _ in _pairs(reports)
        if (row["model"], trivial.metric) in served
    ]


def _pairs(reports: Mapping[str, Any]) -> Iterator[tuple[Trivial, Row, Row]]:
    """Each model's row beside that of the trivial answer."""
    for trivial in TRIVIAL:
        rows: list[Row] = reports.get(trivial.report, {}).get("metrics", [])
        other = next((row for row in rows if _is(row, trivial.model, trivial.metric)), None)
        if other is None:
            continue
        for row in rows:
            if row["model"] in trivial.models and row["metric"] == other["metric"]:
                yield trivial, row, other


def _is(row: Row, model: str, metric: str) -> bool:
    return bool(row["model"] == model and fnmatch.fnmatchcase(row["metric"], metric))
