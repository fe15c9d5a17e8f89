"""Trivial answers: what every model has to beat before it is worth serving, and which do not.

A report of `metrics.json` has them beside its models, measured in the same way.
"""

import fnmatch
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from emberline.models import (
    BIASES,
    MEAN_FACTORS,
    MODELS,
    MOST_FREQUENT,
    MOST_POPULAR,
    role_of,
)
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


TRIVIAL = (
    Trivial("holdout", MOST_POPULAR.name, "ndcg@*"),
    Trivial("holdout", BIASES.name, "rmse", lower_is_better=True),
    Trivial("cold items", MEAN_FACTORS.name, "auc"),
    Trivial("classes", MOST_FREQUENT.name, "accuracy"),
)
_LISTS = ("recommendations", "ndcg@*")  # made by the model that recommend is told to
# by table of a model, the metric that its answers are judged by
_SERVED = {
    "user_rating_factors": "rmse",
    "predicted_factors": "auc",
    "predicted_classes": "accuracy",
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
    lists, metric = _LISTS
    served = {(lists_by, metric)} if lists in tables else set()
    served |= {
        (model.name, _SERVED[table])
        for model in MODELS.values()
        for table in model.tables
        if table in tables and table in _SERVED
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
            if role_of(row["model"]) == "model" and row["metric"] == other["metric"]:
                yield trivial, row, other


def _is(row: Row, model: str, metric: str) -> bool:
    return bool(row["model"] == model and fnmatch.fnmatchcase(row["metric"], metric))
