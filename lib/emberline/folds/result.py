"""What came of folds: each metric's mean, its spread, and its values side by side."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev

from emberline.datasets import storage
from emberline.datasets.measures import Report
from emberline.datasets.storage import Location

FILE, TABLE = "folds.json", "folds.csv"


@dataclass(frozen=True)
class Row:
    """A metric of a model over the folds: `deviation` is the standard deviation of its values, one
    of which is None where a fold does not have it.
    """

    report: str
    model: str
    metric: str
    mean: float
    deviation: float | None
    values: list[float | None]


@dataclass(frozen=True)
class Result:
    """Of folds `of` something, what they are measured by (`protocols`, by report and fold), and the
    rows.
    """

    pipeline: str
    of: str
    folds: int
    protocols: dict[str, list[str]]
    rows: list[Row]


def result(pipeline: str, of: str, reports: Sequence[Mapping[str, Report]]) -> Result:
    """Of each fold's reports."""
    found: dict[tuple[str, str, str], list[float | None]] = {}
    protocols: dict[str, list[str]] = {}
    for fold, by_name in enumerate(reports):
        for name, report in by_name.items():
            protocols.setdefault(name, []).append(report.protocol.hash)
            for row in report.metrics:
                key = (name, row.model, row.metric)
                found.setdefault(key, [None] * len(reports))[fold] = row.value
    return Result(pipeline, of, len(reports), protocols, [_row(*one) for one in found.items()])


def _row(key: tuple[str, str, str], values: list[float | None]) -> Row:
    known = [value for value in values if value is not None]
    return Row(*key, fmean(known), stdev(known) if len(known) > 1 else None, values)


def write(folder: Location, found: Result) -> None:
    """As JSON, and as a table of CSV with a line for each metric."""
    storage.replace_file(folder / FILE, json.dumps(asdict(found), indent=1).encode())
    table = io.StringIO()
    lines = csv.writer(table, lineterminator="\n")
    folds = [f"fold_{number}" for number in range(1, found.folds + 1)]
    lines.writerow(["report", "model", "metric", "mean", "deviation", *folds])
    for row in found.rows:
        lines.writerow([row.report, row.model, row.metric, row.mean, row.deviation, *row.values])
    storage.replace_file(folder / TABLE, table.getvalue().encode())
