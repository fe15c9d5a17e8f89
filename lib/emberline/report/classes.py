"""Classes of pictures: which are taken for which, how well each is recognised, and what the
forest looks at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emberline.datasets.facts import Forest
from emberline.datasets.manifest import Dataset
from emberline.datasets.measures import Report
from emberline.models import FOREST, MODELS
from emberline.report import charts, overlays
from emberline.report.charts import Floats
from emberline.report.text import measure, percent

_MOST_NAMED = 20
_MOST_MISTAKES = 12
_MOST_IMPORTANCES = 15
Row = dict[str, Any]


@dataclass(frozen=True)
class Square:
    """One cell of the confusion matrix; `tint`, 0..1, is the root of its share of the true
    class, so that small ones show.
    """

    count: int
    tint: float


@dataclass(frozen=True)
class Mistake:
    """Pictures of one class that were taken for another."""

    true: str
    predicted: str
    count: int
    share: str


@dataclass(frozen=True)
class Quality:
    """How one class is recognised."""

    name: str
    precision: str
    recall: str
    f1: str
    pictures: int


@dataclass(frozen=True)
class Classes:
    """What one model knows of classes; of many classes the matrix is a picture without names."""

    model: str
    names: list[str]
    matrix: list[list[Square]]
    heat: str | None
    mistakes: list[Mistake]
    qualities: list[Quality]
    importances: str | None
    looked: list[overlays.Looked]


def classes(report: Report, inputs: Mapping[str, Dataset]) -> Classes:
    """Of the first model in the table that has any."""
    known = report.confusion
    model = next((name for name in MODELS if name in known), next(iter(known)))
    confusion = np.array(known[model], np.float64)
    names = _names(report.classes, len(confusion))
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    is_small = len(names) <= _MOST_NAMED
    return Classes(
        model=model,
        names=names,
        matrix=_matrix(confusion, shares) if is_small else [],
        heat=None if is_small else charts.heat(f"Confusion matrix of {len(names)} classes", shares),
        mistakes=_mistakes(confusion, names),
        qualities=[_quality(row) for row in report.per_class if row["model"] == model],
        importances=_importances(inputs),
        looked=overlays.of_classes(inputs),
    )


def _names(names: list[str], size: int) -> list[str]:
    """The first `size` names: the matrix ends at the last class that a test picture has or gets."""
    return [*names[:size], *map(str, range(len(names), size))]


def _matrix(confusion: Floats, shares: Floats) -> list[list[Square]]:
    return [
        [
            Square(int(count), round(float(share) ** 0.5, 3))
            for count, share in zip(*rows, strict=True)
        ]
        for rows in zip(confusion, shares, strict=True)
    ]


def _mistakes(confusion: Floats, names: list[str]) -> list[Mistake]:
    """The most frequent ones."""
    wrong = confusion - np.diag(np.diag(confusion))
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    places = zip(*np.unravel_index(order, wrong.shape), strict=True)
    totals = confusion.sum(axis=1)
    return [
        Mistake(names[i], names[j], int(wrong[i, j]), percent(wrong[i, j], totals[i]))
        for i, j in places
        if wrong[i, j]
    ]


def _quality(row: Row) -> Quality:
    precision, recall, f1 = (measure(row[name]) for name in ("precision", "recall", "F1"))
    return Quality(row["class"], precision, recall, f1, row["pictures"])


def _importances(inputs: Mapping[str, Dataset]) -> str | None:
    """The embedding's dimensions that the forest uses most."""
    forest = inputs[FOREST.name].manifest.given(Forest) if FOREST.name in inputs else None
    if not forest or not forest.importances:
        return None
    values = forest.importances
    order = np.argsort(-np.array(values), kind="stable")[:_MOST_IMPORTANCES]
    labels, tones = [f"dimension {place}" for place in order], [charts.SECOND] * len(order)
    return charts.bars(
        "Importance of embedding dimensions",
        labels,
        [values[i] for i in order],
        [None] * len(order),
        tones,
    )
