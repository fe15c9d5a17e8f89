"""Metrics beside their baselines: what was measured, under which protocol, for whom."""

import fnmatch
from dataclasses import dataclass
from typing import Any

from emberline.report import charts
from emberline.report.text import measure

_HEADINGS = {"holdout": "Held-out ratings", "cold items": "Items that nobody has rated", "classes": "Classes of pictures"}
_QUESTIONS = {
    "holdout": "Do the lists hold what people chose afterwards, in ratings that no model has seen?",
    "cold items": "How well are new items ranked for each user, when all that is known of them is their picture?",
    "classes": "How often is a picture's class recognised, on pictures that no model has seen?",
}
_MAIN = ("ndcg@*", "recall@*/n", "auc", "rmse", "accuracy", "mean F1")
_LOWER_IS_BETTER = {"rmse", "mae"}
_MODELS = {"als", "cnn", "forest", "item-neighbors", "user-neighbors"}
SUBJECTS = {
    "als": "factors of users and items by alternating least squares",
    "item-neighbors": "items most similar to those in the user's history",
    "user-neighbors": "what the most similar users rated",
    "cnn": "what the network predicts from pictures alone",
    "forest": "a random forest on the network's embeddings",
    "oracle": "the factors that the withheld ratings themselves give: an upper bound, not a competitor",
    "neighbors-pixels": "mean factors of the items whose pictures are most alike",
    "neighbors-histogram": "mean factors of the items whose colours are most alike",
    "linear-pixels": "ridge regression on averaged pixels",
    "mean-factors": "mean factors: the same for every item",
    "most-popular": "the most rated items, the same for everybody",
    "random": "drawn at random",
    "biases": "the mean, and what the user and the item deviate from it by, damped",
    "item-mean": "the item's mean rating",
    "user-mean": "the user's mean rating",
    "global-mean": "the mean of all ratings",
    "most-frequent": "always the most frequent class",
}
Row = dict[str, Any]


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
    """One metric of every subject, None where a subject has none."""

    metric: str
    cells: list[Cell | None]
    over: str


@dataclass(frozen=True)
class Measurement:
    """One report of `metrics.json`."""

    key: str
    heading: str
    question: str
    protocol: str
    protocol_hash: str
    facts: list[tuple[str, str]]
    subjects: list[tuple[str, str, bool]]  # name, meaning, whether the pipeline made it
    charts: list[Chart]
    lines: list[Line]


@dataclass(frozen=True)
class Gain:
    """A main metric's best model beside its best baseline."""

    heading: str
    metric: str
    model: str
    value: str
    baseline: str
    baseline_value: str


def measurements(reports: dict[str, Row]) -> list[Measurement]:
    """One for each report, in the order of the evaluation."""
    return [_measurement(key, report) for key, report in reports.items()]


def gains(reports: dict[str, Row]) -> list[Gain]:
    """The first main metric of each report where a model of the pipeline stands beside a baseline."""
    found = (_gain(key, report["metrics"]) for key, report in reports.items())
    return [gain for gain in found if gain is not None]


def _measurement(key: str, report: Row) -> Measurement:
    rows, protocol = report["metrics"], report["protocol"]
    subjects = list(dict.fromkeys(row["subject"] for row in rows))
    return Measurement(
        key=key.replace(" ", "-"),
        heading=_HEADINGS.get(key, key.capitalize()),
        question=_QUESTIONS.get(key, ""),
        protocol=protocol["name"],
        protocol_hash=protocol["hash"],
        facts=[(name.capitalize(), plain(value)) for name, value in protocol.items() if name not in ("name", "hash")],
        subjects=[(subject, SUBJECTS.get(subject, ""), subject in _MODELS) for subject in subjects],
        charts=[_chart(_HEADINGS.get(key, key), metric, rows) for metric in _main_metrics(rows)],
        lines=_lines(rows, subjects),
    )


def plain(fact: Any) -> str:
    """A protocol's fact in words."""
    if not isinstance(fact, dict):
        return f"{fact:,}" if isinstance(fact, int) else str(fact)
    if "by" in fact:
        return _plain_holdout(fact)
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in fact.items() if value is not None)


def _plain_holdout(holdout: Row) -> str:
    after, days = holdout.get("after"), holdout.get("last_days") or 0
    ways = {
        "none": "no rating of an item that is not cold",
        "fraction": f"{holdout.get('fraction') or 0:.0%} of each user's ratings, chosen by hash",
        "last": f"the last {holdout.get('n')} ratings of each user",
        "time": f"ratings after {after}" if after else f"ratings of the last {days:g} days",
    }
    cold = holdout.get("cold_items")
    more = f"; all ratings of {cold:.0%} of the items" if cold else ""
    return f"{ways.get(holdout['by'], holdout['by'])}{more} (seed {holdout.get('seed')})"


def _main_metrics(rows: list[Row]) -> list[str]:
    names = list(dict.fromkeys(row["metric"] for row in rows))
    return [name for pattern in _MAIN for name in names if fnmatch.fnmatchcase(name, pattern)]


def _better_first(metric: str, rows: list[Row]) -> list[Row]:
    sign = 1 if metric in _LOWER_IS_BETTER else -1
    return sorted((row for row in rows if row["metric"] == metric), key=lambda row: sign * row["value"])


def _chart(heading: str, metric: str, rows: list[Row]) -> Chart:
    ordered = _better_first(metric, rows)
    tones = [_tone(row["subject"]) for row in ordered]
    values, errors = [row["value"] for row in ordered], [row.get("standard_error") for row in ordered]
    note = "lower is better" if metric in _LOWER_IS_BETTER else "higher is better"
    title = f"{heading}: {metric}; " + ", ".join(f"{row['subject']} {measure(row['value'])}" for row in ordered)
    return Chart(metric, note, charts.bars(title, [row["subject"] for row in ordered], values, errors, tones))


def _tone(subject: str) -> str:
    if subject in _MODELS:
        return charts.ACCENT
    return charts.INK if subject == "oracle" else charts.QUIET


def _lines(rows: list[Row], subjects: list[str]) -> list[Line]:
    by_place = {(row["metric"], row["subject"]): row for row in rows}
    lines = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        ranked = [] if metric.startswith("coverage") else _better_first(metric, rows)  # more coverage is not better
        best = next((row for row in ranked if row["subject"] != "oracle"), None)
        found = [by_place.get((metric, subject)) for subject in subjects]
        cells = [_cell(row, row is best) if row else None for row in found]
        lines.append(Line(metric, cells, _over(next(row for row in found if row))))
    return lines


def _cell(row: Row, is_best: bool) -> Cell:
    error = row.get("standard_error")
    missing = row.get("answered_by_biases")
    note = f"{missing:,} answered by the biases" if missing else ""
    return Cell(measure(row["value"]), "" if error is None else f"± {measure(error)}", is_best, note)


def _over(row: Row) -> str:
    """What the metric is a mean over, such as 2,990 users."""
    counts = {name: row[name] for name in ("users", "items", "ratings", "pictures") if name in row}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items())


def _gain(key: str, rows: list[Row]) -> Gain | None:
    for metric in _main_metrics(rows):
        ordered = _better_first(metric, rows)
        model = next((row for row in ordered if row["subject"] in _MODELS), None)
        baseline = next((row for row in ordered if row["subject"] not in {*_MODELS, "oracle"}), None)
        if model and baseline:
            ours, theirs = ((row["subject"], measure(row["value"])) for row in (model, baseline))
            return Gain(_HEADINGS.get(key, key), metric, *ours, *theirs)
    return None
