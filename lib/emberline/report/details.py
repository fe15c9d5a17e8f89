"""What metrics are told apart by: pairs of models, and some of the users or items."""

from dataclasses import dataclass

from emberline.cf.metrics import metric_of
from emberline.datasets.measures import Compared, Report, Reports, Slice
from emberline.publish.standing import Standing, chance, standing_of
from emberline.report.measures import Cell, Line, is_ours, spread
from emberline.report.text import measure, signed


@dataclass(frozen=True)
class Difference:
    """A metric of a model less that of another one, on the same users, items or pictures."""

    metric: str
    model: str
    other: str
    difference: str
    interval: str
    p: str
    verdict: Standing


@dataclass(frozen=True)
class Sliced:
    """A metric of some models, by what users or items are told apart by: a line each."""

    by: str
    metric: str
    models: list[tuple[str, bool]]  # name, whether the pipeline made it
    lines: list[Line]


def differences(reports: Reports) -> dict[str, list[Difference]]:
    """By a measurement's key, the largest ones of each metric first."""
    found = {
        key.replace(" ", "-"): [_difference(row) for row in _largest_first(report)]
        for key, report in reports.items()
    }
    return {key: rows for key, rows in found.items() if rows}


def _largest_first(report: Report) -> list[Compared]:
    metrics = list(dict.fromkeys(row.metric for row in report.comparisons))
    return sorted(
        report.comparisons, key=lambda row: (metrics.index(row.metric), -abs(row.difference))
    )


def _difference(row: Compared) -> Difference:
    interval = "" if row.interval is None else " to ".join(map(signed, row.interval))
    parts = (row.metric, row.model, row.other, signed(row.difference), interval)
    return Difference(*parts, chance(row), standing_of(row))


def slices(reports: Reports) -> dict[str, list[Sliced]]:
    """By a measurement's key, a table for whatever users or items are told apart by."""
    found = {key.replace(" ", "-"): _slices(report) for key, report in reports.items()}
    return {key: tables for key, tables in found.items() if tables}


def _slices(report: Report) -> list[Sliced]:
    """Of metrics that decide; where there is none, of all."""
    kinds = list(dict.fromkeys((row.by, row.metric) for row in report.slices))
    deciding = {by for by, metric in kinds if _decides(metric)}
    return [
        _sliced(by, metric, [row for row in report.slices if (row.by, row.metric) == (by, metric)])
        for by, metric in kinds
        if _decides(metric) or by not in deciding
    ]


def _decides(metric: str) -> bool:
    row = metric_of(metric)
    return row is not None and row.is_main


def _sliced(by: str, metric: str, rows: list[Slice]) -> Sliced:
    models = list(dict.fromkeys(row.model for row in rows))
    found = {(row.slice, row.model): row for row in rows}
    lines = []
    for name in dict.fromkeys(row.slice for row in rows):
        own = [found.get((name, model)) for model in models]
        cells = [Cell(measure(row.value), spread(row), False) if row else None for row in own]
        lines.append(Line(name, cells, _over(next(row for row in own if row))))
    return Sliced(by, metric, [(model, is_ours(model)) for model in models], lines)


def _over(row: Slice) -> str:
    counts = {"users": row.users, "items": row.items, "ratings": row.ratings}
    return ", ".join(f"{count:,} {unit}" for unit, count in counts.items() if count is not None)
