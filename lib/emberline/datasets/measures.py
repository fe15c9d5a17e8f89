"""`metrics.json`: what an evaluation measured, checked where it is read, since it may come from
strangers.
"""

from dataclasses import dataclass, fields
from typing import Any

from emberline.datasets import typed_json
from emberline.datasets.manifest import Dataset
from emberline.datasets.sketch import Sketch
from emberline.errors import ManifestError

FILE_NAME = "metrics.json"
UNITS = ("users", "items", "ratings", "pictures")  # one of which a row of metrics is over


@dataclass(frozen=True)
class _Protocol:
    name: str
    hash: str


@dataclass(frozen=True)
class _Row:
    model: str
    metric: str
    value: float


def reports_of(metrics: Dataset) -> dict[str, Any]:
    """The reports of the dataset `metrics`, by name. Raises ManifestError for a file that is
    none of ours.
    """
    stage = metrics.manifest.produced_by.stage
    path = next((path for path in metrics.paths if path.name == FILE_NAME), None)
    if path is None:
        raise ManifestError(f"{metrics.folder} has no {FILE_NAME}; rerun {stage} with --force")
    try:
        content = typed_json.build(dict[str, Any], typed_json.read(path))
        return checked(content.get("reports"))
    except ValueError as error:
        raise ManifestError(
            f"{path} holds no metrics ({error}); rerun {stage} with --force"
        ) from error


def checked(reports: Any) -> dict[str, Any]:
    """The same reports. Raises ValueError, which names the field, where they are not what an
    evaluation writes.
    """
    for name, report in typed_json.build(dict[str, dict[str, Any]], reports, "reports").items():
        where = f"reports.{name}"
        _check(_Protocol, report.get("protocol"), f"{where}.protocol")
        if "data" in report:
            typed_json.build(Sketch, report["data"], f"{where}.data")
        for place, row in enumerate(
            typed_json.build(list[Any], report.get("metrics"), f"{where}.metrics")
        ):
            _check(_Row, row, f"{where}.metrics[{place}]")
            if not any(type(row.get(unit)) is int for unit in UNITS):
                raise ValueError(f"{where}.metrics[{place}]: expected one of {', '.join(UNITS)}")
    return dict(reports)


def _check(kind: Any, value: Any, name: str) -> None:
    """That an object has the fields of `kind`, whatever else it has."""
    given = typed_json.build(dict[str, Any], value, name)
    typed_json.build(
        kind, {key: given[key] for key in (f.name for f in fields(kind)) if key in given}, name
    )
