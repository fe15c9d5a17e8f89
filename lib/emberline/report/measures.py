"""Metrics beside their baselines: what was measured, under which protocol, for whom."""

import fnmatch
from dataclasses import dataclass
from typing import Any

from emberline.cf.metrics import direction_of
from emberline.datasets.measures import Measured, Protocol, Report, Reports, Slice
from emberline.models import caption_of, role_of
from emberline.publish.standing import standing
from emberline.report import charts
from emberline.report.text import measure

HEADINGS = {
    "holdout": "Held-out ratings",
    "cold users": "People who have rated nothing",
    "cold items": "Items that nobody has rated",
    "mixed lists": "New items beside rated ones",
    "classes": "Classes of pictures",
}
_QUESTIONS = {
    "holdout": "Do the lists hold the ratings that were withheld, and that no model has seen?",
    "mixed lists": (
        "Do the lists hold what was withheld, of rated items and of such that nobody has rated, and"
        " as many of these as there are among it?"
    ),
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
_TONES = {"model": charts.ACCENT, "bound": charts.INK, "baseline": charts.QUIET}


@dataclass(frozen=True)
class Chart:
    """One metric's bars."""

    metric: str
    note: str
    svg: str


@dataclass(frozen=True)
class Cell:
    """One value; `error` is its interval, or else its standard error; `note` how often something
    else answered.
    """

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


def measurements(reports: Reports) -> list[Measurement]:
    """One for each report, in the order of the evaluation."""
    return [_measurement(key, report) for key, report in reports.items()]


def _measurement(key: str, report: Report) -> Measurement:
    rows, protocol = report.metrics, report.protocol
    models = list(dict.fromkeys(row.model for row in rows))
    return Measurement(
        key=key.replace(" ", "-"),
        heading=HEADINGS.get(key, key.capitalize()),
        question=_question(key, protocol),
        protocol=protocol.name,
        protocol_hash=protocol.hash,
        data_hash=report.data.hash if report.data else "",
        facts=[(name.capitalize(), plain(value)) for name, value in protocol.facts.items()],
        models=[(model, caption_of(model), is_ours(model)) for model in models],
        charts=[_chart(HEADINGS.get(key, key), metric, rows) for metric in main_metrics(rows)],
        grids=_grids(report, models),
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


def better_first(metric: str, rows: list[Measured]) -> list[Measured]:
    sign = 1 if direction_of(metric) == "lower" else -1
    return sorted((row for row in rows if row.metric == metric), key=lambda row: sign * row.value)


def _chart(heading: str, metric: str, rows: list[Measured]) -> Chart:
    ordered = better_first(metric, rows)
    tones = [_tone(row.model) for row in ordered]
    values, reaches = [row.value for row in ordered], [_reach(row) for row in ordered]
    note = f"{direction_of(metric)} is better"
    title = f"{heading}: {metric}; " + ", ".join(
        f"{row.model} {measure(row.value)}" for row in ordered
    )
    return Chart(
        metric, note, charts.bars(title, [row.model for row in ordered], values, reaches, tones)
    )


def _reach(row: Measured) -> tuple[float, float] | None:
    """What a value lies in: its interval, or else one standard error on either side."""
    if row.interval is not None:
        return row.interval[0], row.interval[1]
    error = row.standard_error
    return None if error is None else (row.value - error, row.value + error)


def _tone(model: str) -> str:
    return _TONES.get(role_of(model) or "baseline", charts.QUIET)


def is_ours(model: str) -> bool:
    """Whether a pipeline makes it to be served, and not to measure others beside it."""
    return role_of(model) == "model"


def competes(row: Measured) -> bool:
    return role_of(row.model) not in ("bound", "part")


def _grids(report: Report, models: list[str]) -> list[Grid]:
    """A grid for each set of models that share metrics, in the order of the rows; a metric of
    some of them is there, too.
    """
    rows = report.metrics
    metrics: dict[tuple[str, ...], list[Measured]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        measured = [row for row in rows if row.metric == metric]
        names = {row.model for row in measured}
        alone = tuple(model for model in models if model in names)
        metrics.setdefault(next((key for key in metrics if names <= {*key}), alone), []).extend(
            measured
        )
    return [
        Grid([(name, is_ours(name)) for name in names], _lines(found, [*names], report))
        for names, found in metrics.items()
    ]


def _lines(rows: list[Measured], models: list[str], report: Report) -> list[Line]:
    by_place = {(row.metric, row.model): row for row in rows}
    lines = []
    for metric in dict.fromkeys(row.metric for row in rows):
        ranked = [] if direction_of(metric) == "neither" else better_first(metric, rows)
        best = _clear_best([row for row in ranked if competes(row)], report)
        found = [by_place.get((metric, model)) for model in models]
        cells = [_cell(row, row is best) if row else None for row in found]
        lines.append(Line(metric, cells, over(next(row for row in found if row))))
    return lines


def _clear_best(ranked: list[Measured], report: Report) -> Measured | None:
    """The first of the rows, the better first, where every other is told apart from it."""
    is_clear = len(ranked) > 1 and all(
        standing(ranked[0], row, report) == "better" for row in ranked[1:]
    )
    return ranked[0] if is_clear else None


def _cell(row: Measured, is_best: bool) -> Cell:
    missing = row.answered_by_biases
    note = f"{missing:,} answered by the biases" if missing else ""
    return Cell(measure(row.value), spread(row), is_best, note)


def spread(row: Measured | Slice) -> str:
    """What a value lies in, such as (.215 to .231), or else its standard error."""
    if row.interval is not None:
        return f"({' to '.join(map(measure, row.interval))})"
    # what did not vary says nothing of how far it might
    return f"± {measure(row.standard_error)}" if row.standard_error else ""


def over(row: Measured) -> str:
    """What the metric is a mean over, such as 2,990 users."""
    return ", ".join(f"{count:,} {name}" for name, count in row.over.items())
