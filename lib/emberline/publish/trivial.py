"""Trivial answers: what every model has to beat before it is worth serving, and which do not.

A report of `metrics.json` has them beside its models, measured in the same way. What is a loss is
decided by `standing`, for the console, the gates and the report.
"""

import fnmatch
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from emberline.cf.metrics import direction_of
from emberline.datasets.measures import Measured, Report, Reports, drawn
from emberline.datasets.released import Verdict
from emberline.models import (
    BIASES,
    MEAN_FACTORS,
    MODELS,
    MOST_FREQUENT,
    MOST_POPULAR,
    role_of,
)
from emberline.publish.standing import Standing, chance, comparison, margin, standing


@dataclass(frozen=True)
class Trivial:
    """Who answers trivially what a report asks, and by which metric it is judged."""

    report: str
    model: str
    metric: str


@dataclass(frozen=True)
class Comparison:
    """A model beside a trivial answer, by one metric: `test` is what a test of their difference
    says. `error` is the standard error of `value`, by which they are told apart where none says
    anything.
    """

    model: str
    trivial: str
    metric: str
    value: float
    trivial_value: float
    error: float | None
    standing: Standing
    test: str = ""

    @property
    def words(self) -> str:
        """How the model stands, without the numbers."""
        verb = {"better": "beats", "undecided": "is no better than", "worse": "loses to"}
        return f"{self.model} {verb[self.standing]} {self.trivial}"

    @property
    def remark(self) -> str:
        """What is to be added to the numbers, where they alone mislead."""
        test = f" ({self.test})" if self.test else ""
        return f", a difference that may be chance{test}" if self.standing == "undecided" else test


TRIVIAL = (
    Trivial("holdout", MOST_POPULAR.name, "ndcg@*"),
    Trivial("holdout", BIASES.name, "rmse"),
    Trivial("cold users", MOST_POPULAR.name, "ndcg@*"),
    Trivial("cold items", MEAN_FACTORS.name, "auc"),
    Trivial("classes", MOST_FREQUENT.name, "accuracy"),
)
_LISTS = ("recommendations", "ndcg@*")  # made by the model that recommend is told to
# by table of a model, the metric that its answers are judged by
_SERVED = {
    "user_rating_factors": "rmse",
    "content_factors": "auc",
    "content_user_factors": "ndcg@*",
    "predicted_factors": "auc",
    "predicted_classes": "accuracy",
}


def not_beaten(reports: Reports) -> list[Comparison]:
    """The models that lose to a trivial answer, or are no better, each by the first metric of its
    kind.
    """
    found = [
        Comparison(
            row.model,
            other.model,
            row.metric,
            row.value,
            other.value,
            row.standard_error,
            standing(row, other, reports[trivial.report]),
            _test(trivial.report, reports[trivial.report], row, other),
        )
        for trivial, row, other in _pairs(reports)
    ]
    return [compared for compared in found if compared.standing != "better"]


def _test(key: str, report: Report, row: Measured, other: Measured) -> str:
    """Such as p = 0.310 on the same users; empty where the two have not been tested."""
    found = comparison(report, row, other)
    return f"{chance(found)} on the same {drawn(key, row)}" if found else ""


def verdicts(reports: Reports, tables: Collection[str], lists_by: str | None) -> list[Verdict]:
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
        _verdict(trivial.report, reports[trivial.report], row, other)
        for trivial, row, other in _pairs(reports)
        if (row.model, trivial.metric) in served
    ]


def _verdict(key: str, report: Report, row: Measured, other: Measured) -> Verdict:
    """Its limit is the trivial answer's value, and from there as far as chance may go."""
    name, how = f"{key}:{row.model}.{row.metric}", standing(row, other, report)
    sign = 1 if direction_of(row.metric) == "lower" else -1
    least = margin(row, other, report)
    return Verdict(
        f"{name} is no worse than {other.model}",
        row.value,
        None if least is None else other.value + sign * least,
        how != "worse",
        "no better either: the difference may be chance" if how == "undecided" else "",
    )


def _pairs(reports: Reports) -> Iterator[tuple[Trivial, Measured, Measured]]:
    """Each model's row beside that of the trivial answer."""
    for trivial in TRIVIAL:
        rows = reports[trivial.report].metrics if trivial.report in reports else []
        other = next((row for row in rows if _is(row, trivial.model, trivial.metric)), None)
        if other is None:
            continue
        for row in rows:
            if role_of(row.model) == "model" and row.metric == other.metric:
                yield trivial, row, other


def _is(row: Measured, model: str, metric: str) -> bool:
    return bool(row.model == model and fnmatch.fnmatchcase(row.metric, metric))
