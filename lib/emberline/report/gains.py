"""Whether a model is better than the best baseline, and how far that can be trusted: what the page
begins with.
"""

import fnmatch
from collections.abc import Mapping
from dataclasses import dataclass, replace

from emberline.datasets.measures import Measured, Report, Reports
from emberline.publish import trivial
from emberline.publish.standing import Standing, chance, comparison, standing
from emberline.report.earlier import Comparison
from emberline.report.measures import (
    HEADINGS,
    better_first,
    competes,
    is_ours,
    main_metrics,
    over,
)
from emberline.report.text import measure, signed

# one each, where a report has it; they answer different questions
_HEADLINES = ("ndcg@*", "auc", "rmse", "accuracy")
_PREDICTED = "Predicted ratings"


@dataclass(frozen=True)
class Gain:
    """A metric's best model beside its best baseline, and whether they can be told apart."""

    heading: str
    metric: str
    model: str
    value: str
    baseline: str
    baseline_value: str
    verdict: Standing
    interval: str = ""
    difference: str = ""
    key: str = ""
    over: str = ""
    before: str = ""

    @property
    def words(self) -> str:
        """The verdict as the page says it."""
        baseline = f"the best baseline, {self.baseline}, with {self.baseline_value}"
        return {
            "better": f"better than {baseline}",
            "undecided": f"no better or worse, within the error, than {baseline}",
            "worse": f"worse than {baseline}: that one serves better",
        }[self.verdict]


def gains(reports: Reports) -> list[Gain]:
    """Of each report the headlines in which a model of the pipeline stands beside a baseline."""
    found = (_gain(key, report, wanted) for key, report in reports.items() for wanted in _HEADLINES)
    return [gain for gain in found if gain is not None]


def beside_last(gain: Gain, comparisons: Mapping[str, Comparison]) -> Gain:
    """The gain with what the metric was in the last evaluation, if that can be compared."""
    last = comparisons.get(gain.key)
    if last is None:
        return gain
    for change in last.changes:
        if (change.metric, change.model) == (gain.metric, gain.model):
            other = f" ({change.other})" if change.other else ""
            told = f"Before it was {change.before}{other}: {change.told}, {change.verdict_told}."
            return replace(gain, before=told)
    return gain if last.changes else replace(gain, before=last.sentence)


def losses(reports: Reports) -> list[str]:
    """The models that lose to a trivial answer, or are no better, in words, by the rule of the
    console and of gates.
    """
    return [
        f"{compared.words}, a trivial answer: {compared.metric} {measure(compared.value)} against"
        f" {measure(compared.trivial_value)}{compared.remark}."
        for compared in trivial.not_beaten(reports)
    ]


def _gain(key: str, report: Report, wanted: str) -> Gain | None:
    """Of the first metric whose name fits the pattern; None where no model or no baseline has
    it.
    """
    rows = report.metrics
    metric = next((name for name in main_metrics(rows) if fnmatch.fnmatchcase(name, wanted)), None)
    if metric is None:
        return None
    ordered = better_first(metric, rows)
    model = next((row for row in ordered if is_ours(row.model)), None)
    baseline = next((row for row in ordered if competes(row) and not is_ours(row.model)), None)
    if not model or not baseline:
        return None
    heading = _PREDICTED if metric == "rmse" else HEADINGS.get(key, key)
    ours, theirs = ((row.model, measure(row.value)) for row in (model, baseline))
    return Gain(
        heading,
        metric,
        *ours,
        *theirs,
        standing(model, baseline, report),
        _spread(model.interval),
        _difference(report, model, baseline),
        key.replace(" ", "-"),
        over(model),
    )


def _spread(interval: list[float] | None) -> str:
    """Such as .215 to .231; empty where it is not known."""
    return "" if interval is None else " to ".join(map(measure, interval))


def _difference(report: Report, model: Measured, baseline: Measured) -> str:
    """How far a model is from a baseline on the same users, with interval and p-value; empty where
    the report has not compared them.
    """
    found = comparison(report, model, baseline)
    if found is None or found.interval is None:
        return ""
    low, high = map(signed, found.interval)
    return f"{signed(found.difference)}, {low} to {high} on the same {over(model)}, {chance(found)}"
