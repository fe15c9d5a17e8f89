"""How ratings are distributed: over values, and over items."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import batches
from emberline.report import charts
from emberline.report.charts import Floats
from emberline.report.text import percent

_MOST_COLUMNS = 24
# significant ones of a value: bounds how many values are told apart, and keeps those of any scale
# of ratings
_DIGITS = 2


@dataclass(frozen=True)
class Distribution:
    """The charts, and what they say in a sentence."""

    values: str
    tail: str
    sentence: str


def distribution(ratings: Dataset, num_items: int) -> Distribution:
    """Of the ratings in training, beside all `num_items` items of the id map."""
    by_value, by_item = _count(ratings)
    labels, counts = _binned(by_value)
    return Distribution(
        values=charts.columns("Ratings per value", labels, counts, "value", "ratings"),
        tail=charts.tail("Ratings per item", by_item),
        sentence=_sentence(by_item, num_items),
    )


def _count(ratings: Dataset) -> tuple[Counter[float], Floats]:
    """Ratings per value, rounded to a few significant digits, and per item: (num_items,)."""
    by_value: Counter[float] = Counter()
    by_item: Floats = np.zeros(0)
    for batch in batches(ratings, ["item", "value"]):
        values, counts = np.unique(_rounded(batch["value"].to_numpy()), return_counts=True)
        by_value.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
        more = np.bincount(batch["item"].to_numpy(), minlength=len(by_item)).astype(np.float64)
        by_item = more + np.pad(by_item, (0, len(more) - len(by_item)))
    return by_value, by_item


def _rounded(values: np.ndarray) -> Floats:
    exact = values.astype(np.float64)
    unit = 10.0 ** (np.floor(np.log10(np.abs(np.where(exact == 0, 1.0, exact)))) - _DIGITS + 1)
    return np.round(np.round(exact / unit) * unit, 12)


def _binned(by_value: Counter[float]) -> tuple[list[str], list[int]]:
    """One column per value where they are few; else equally wide ones, or for values above 0 that
    differ widely, by ratio.

    A column is labelled with where it begins.
    """
    values = np.array(sorted(by_value))
    if len(values) <= _MOST_COLUMNS:
        return [f"{value:g}" for value in values], [by_value[value] for value in values.tolist()]
    is_wide = values[0] > 0 and values[-1] > 100 * values[0]
    edges = (np.geomspace if is_wide else np.linspace)(values[0], values[-1], _MOST_COLUMNS + 1)
    if (values == np.round(values)).all():
        edges = np.unique(np.append(np.round(edges[:-1]), values[-1] + 1))
    counts, _ = np.histogram(values, edges, weights=[by_value[value] for value in values.tolist()])
    return [f"{edge:.3g}" for edge in edges[:-1]], [int(count) for count in counts]


def _sentence(by_item: Floats, num_items: int) -> str:
    rated = int((by_item > 0).sum())
    top = max(round(rated / 10), 1)
    share = percent(float(np.sort(by_item)[::-1][:top].sum()), float(by_item.sum()))
    without = max(num_items - rated, 0)
    rest = (
        f"; {without:,} of {num_items:,} items have none, because they are new or withheld"
        if without
        else ""
    )
    return f"The {top:,} most rated of {rated:,} items (a tenth) have {share} of all ratings{rest}."
