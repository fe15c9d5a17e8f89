"""Metrics beside their baselines: what was measured, under which protocol, for whom."""

import fnmatch
from dataclasses import dataclass
from typing import Any

from emberline.datasets.measures import Measured, Protocol, Report, Reports
from emberline.models import caption_of, role_of
from emberline.publish import trivial
from emberline.publish.standing import LOWER_IS_BETTER, Standing, standing
from emberline.report import charts
from emberline.report.text import measure

_HEADINGS = {
    "holdout": "Held-out ratings",
    "cold users": "People who have rated nothing",
    "cold items": "Items that nobody has rated",
    "classes": "Classes of pictures",
}
_QUESTIONS = {
    "holdout": "Do the lists hold the ratings that were withheld, and that no model has seen?",
    "cold users": (
        "Do the lists of people without a history hold what they chose, by what is known of them?"
        " Measured on users of whom every rating was withheld."
    ),
    "cold items": (
        "How well are new items ranked for each user, by what is known of them besides ratings?"
        " Measured on items of which every rating was withheld."
    ),
    "classes": "How often is a picture's class recognised, on pictures that no model has seen?",
}
_WITHHELD = {  # by what a holdout is chosen
    "fraction": (
        "Do the lists hold what was withheld: {}? That is from all times, not what came afterwards."
    ),
    "last": "Do the lists hold what each user rated last: {}, withheld from every model?",
    "time": "Do the lists hold what people chose afterwards: {}, withheld from every model?",
    "folds": "Do the lists hold what was withheld: {}? The other folds are held out in other runs.",
    "given": "Do the lists hold what was withheld: {}?",
    "column": "Do the lists hold what was withheld: {}?",
}
_MAIN = ("ndcg@*", "recall@*/n", "auc", "rmse", "accuracy", "mean F1")
# one each, where a report has it; they answer different questions
_HEADLINES = ("ndcg@*", "rmse", "accuracy")
_PREDICTED = "Predicted ratings"
_TONES = {"model": charts.ACCENT, "bound": charts.INK, "baseline": charts.QUIET}


@dataclass(frozen=True)
class Chart:
    """One metric's bars."""

    metric: str
    note: str
    svg: str


@dataclass(frozen=True)
class Cell:
    """One value; `error` is its standard error, `note` how often something else answered."""

    value: str
    error: str
    is_best: bool
    note: str = ""


@dataclass(frozen=True)
class Line:
    """One metric of every model, None where a model has none."""

    metric: str
    cells: list[Cell | None]
    over: str


@dataclass(frozen=True)
class Grid:
    """The metrics that the same models have: of lists, of predicted ratings, of classes."""

    models: list[tuple[str, bool]]  # name, whether the pipeline made it
    lines: list[Line]


@dataclass(frozen=True)
class Measurement:
    """One report of `metrics.json`."""

    key: str
    heading: str
    question: str
    protocol: str
    protocol_hash: str
    data_hash: str
    facts: list[tuple[str, str]]
    models: list[tuple[str, str, bool]]  # name, meaning, whether the pipeline made it
    charts: list[Chart]
    grids: list[Grid]


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

    @property
    def words(self) -> str:
        """The verdict as the page says it."""
        baseline = f"the best baseline, {self.baseline}, with {self.baseline_value}"
        return {
            "better": f"better than {baseline}",
            "undecided": f"no better or worse, within the error, than {baseline}",
            "worse": f"worse than {baseline}: that one serves better",
        }[self.verdict]


def measurements(reports: Reports) -> list[Measurement]:
    """One for each report, in the order of the evaluation."""
    return [_measurement(key, report) for key, report in reports.items()]


def gains(reports: Reports) -> list[Gain]:
    """Of each report the headlines in which a model of the pipeline stands beside a baseline."""
    found = (
        _gain(key, report.metrics, wanted)
        for key, report in reports.items()
        for wanted in _HEADLINES
    )
    return [gain for gain in found if gain is not None]


def losses(reports: Reports) -> list[str]:
    """The models that lose to a trivial answer, or are no better, in words, by the rule of the
    console and of gates.
    """
    return [
        f"{compared.words}, a trivial answer: {compared.metric} {measure(compared.value)} against"
        f" {measure(compared.trivial_value)}{compared.remark}."
        for compared in trivial.not_beaten(reports)
    ]


def _measurement(key: str, report: Report) -> Measurement:
    rows, protocol = report.metrics, report.protocol
    models = list(dict.fromkeys(row.model for row in rows))
    return Measurement(
        key=key.replace(" ", "-"),
        heading=_HEADINGS.get(key, key.capitalize()),
        question=_question(key, protocol),
        protocol=protocol.name,
        protocol_hash=protocol.hash,
        data_hash=report.data.hash if report.data else "",
        facts=[(name.capitalize(), plain(value)) for name, value in protocol.facts.items()],
        models=[(model, caption_of(model), is_ours(model)) for model in models],
        charts=[_chart(_HEADINGS.get(key, key), metric, rows) for metric in main_metrics(rows)],
        grids=_grids(rows, models),
    )


def _question(key: str, protocol: Protocol) -> str:
    """What is measured, as the protocol says it was withheld."""
    holdout = protocol.facts.get("holdout")
    if key != "holdout" or not isinstance(holdout, dict) or holdout.get("by") not in _WITHHELD:
        return _QUESTIONS.get(key, "")
    return _WITHHELD[holdout["by"]].format(_withheld(holdout))


def plain(fact: Any) -> str:
    """A protocol's fact in words."""
    if isinstance(fact, list):
        return "; ".join(map(plain, fact))
    if not isinstance(fact, dict):
        return f"{fact:,}" if isinstance(fact, int) else str(fact)
    if "by" in fact:
        return _plain_holdout(fact)
    named = ((name.replace("_", " "), value) for name, value in fact.items() if value is not None)
    return ", ".join(
        f"{name} ({plain(value)})" if isinstance(value, (dict, list)) else f"{name} {value}"
        for name, value in named
    )


def _plain_holdout(holdout: dict[str, Any]) -> str:
    cold = holdout.get("cold_items")
    more = f"; all ratings of {cold:.0%} of the items" if cold else ""
    users = holdout.get("cold_users")
    more += f"; all ratings of {users:.0%} of the users" if users else ""
    return f"{_withheld(holdout)}{more} (seed {holdout.get('seed')})"


def _withheld(holdout: dict[str, Any]) -> str:
    """The ratings that were withheld, but those of whole items."""
    after, days = holdout.get("after"), holdout.get("last_days") or 0
    ways = {
        "none": "no rating of an item that is not cold",
        "fraction": f"{holdout.get('fraction') or 0:.0%} of each user's ratings, chosen by hash",
        "last": f"the last {holdout.get('n')} ratings of each user",
        "time": f"ratings after {after}" if after else f"ratings of the last {days:g} days",
        "folds": f"fold {holdout.get('fold')} of {holdout.get('folds')}, chosen by hash",
        "given": "the pairs of a given file",
        "column": "what the input calls test",
    }
    return ways.get(holdout["by"], str(holdout["by"]))


def main_metrics(rows: list[Measured]) -> list[str]:
    """The metrics that have a chart, the most telling first."""
    names = list(dict.fromkeys(row.metric for row in rows))
    return [name for pattern in _MAIN for name in names if fnmatch.fnmatchcase(name, pattern)]


def _better_first(metric: str, rows: list[Measured]) -> list[Measured]:
    sign = 1 if metric in LOWER_IS_BETTER else -1
    return sorted((row for row in rows if row.metric == metric), key=lambda row: sign * row.value)


def _chart(heading: str, metric: str, rows: list[Measured]) -> Chart:
    ordered = _better_first(metric, rows)
    tones = [_tone(row.model) for row in ordered]
    values, errors = (
        [row.value for row in ordered],
        [row.standard_error for row in ordered],
    )
    note = "lower is better" if metric in LOWER_IS_BETTER else "higher is better"
    title = f"{heading}: {metric}; " + ", ".join(
        f"{row.model} {measure(row.value)}" for row in ordered
    )
    return Chart(
        metric, note, charts.bars(title, [row.model for row in ordered], values, errors, tones)
    )


def _tone(model: str) -> str:
    return _TONES.get(role_of(model) or "baseline", charts.QUIET)


def is_ours(model: str) -> bool:
    """Whether a pipeline makes it to be served, and not to measure others beside it."""
    return role_of(model) == "model"


def _competes(row: Measured) -> bool:
    return role_of(row.model) != "bound"


def _grids(rows: list[Measured], models: list[str]) -> list[Grid]:
    """A grid for each set of models that share metrics, in the order of the rows; a metric of
    some of them is there, too.
    """
    metrics: dict[tuple[str, ...], list[Measured]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        measured = [row for row in rows if row.metric == metric]
        names = {row.model for row in measured}
        alone = tuple(model for model in models if model in names)
        metrics.setdefault(next((key for key in metrics if names <= {*key}), alone), []).extend(
            measured
        )
    return [
        Grid([(name, is_ours(name)) for name in names], _lines(found, [*names]))
        for names, found in metrics.items()
    ]


def _lines(rows: list[Measured], models: list[str]) -> list[Line]:
    by_place = {(row.metric, row.model): row for row in rows}
    lines = []
    for metric in dict.fromkeys(row.metric for row in rows):
        # more coverage is not better
        ranked = [] if metric.startswith("coverage") else _better_first(metric, rows)
        best = _clear_best([row for row in ranked if _competes(row)])
        found = [by_place.get((metric, model)) for model in models]
        cells = [_cell(row, row is best) if row else None for row in found]
        lines.append(Line(metric, cells, _over(next(row for row in found if row))))
    return lines


def _clear_best(ranked: list[Measured]) -> Measured | None:
    """The first of the rows, the better first, where every other is told apart from it."""
    is_clear = len(ranked) > 1 and all(standing(ranked[0], row) == "better" for row in ranked[1:])
    return ranked[0] if is_clear else None


def _cell(row: Measured, is_best: bool) -> Cell:
    error = row.standard_error
    missing = row.answered_by_biases
    note = f"{missing:,} answered by the biases" if missing else ""
    return Cell(measure(row.value), "" if error is None else f"± {measure(error)}", is_best, note)


def _over(row: Measured) -> str:
    """What the metric is a mean over, such as 2,990 users."""
    return ", ".join(f"{count:,} {name}" for name, count in row.over.items())


def _gain(key: str, rows: list[Measured], wanted: str) -> Gain | None:
    """Of the first metric whose name fits the pattern; None where no model or no baseline has
    it.
    """
    metric = next((name for name in main_metrics(rows) if fnmatch.fnmatchcase(name, wanted)), None)
    if metric is None:
        return None
    ordered = _better_first(metric, rows)
    model = next((row for row in ordered if is_ours(row.model)), None)
    baseline = next((row for row in ordered if _competes(row) and not is_ours(row.model)), None)
    if not model or not baseline:
        return None
    heading = _PREDICTED if metric == "rmse" else _HEADINGS.get(key, key)
    ours, theirs = ((row.model, measure(row.value)) for row in (model, baseline))
    return Gain(heading, metric, *ours, *theirs, standing(model, baseline))
