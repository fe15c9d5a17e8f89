"""The metrics there are, in one table, and what they are made of.

Each metric's definition is beside the function that computes it: of lists in `list_metrics`, of
items that nobody has rated in `ranks`, of predicted ratings in `rating_errors`, of classes in
`confusion`.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

import numpy as np

from emberline.numeric.arrays import Float64

Direction = Literal["higher", "lower", "neither"]


@dataclass(frozen=True)
class Metric:
    """A metric's name, in which * is a length of lists; which values are better; and what it says,
    in a few words. One of the main ones decides which of two models is better; the console has no
    room for those that are not brief. A value is `least` or more, and `most` or less; that of a
    root is the square root of a mean.
    """

    name: str
    direction: Direction
    label: str
    is_main: bool = False
    is_brief: bool = True
    least: float = 0.0
    most: float = 1.0
    is_root: bool = False


METRICS = (
    Metric("precision@*", "higher", "hits among the first places"),
    Metric("recall@*/n", "higher", "share of what was withheld that is in the list"),
    Metric("recall@*/min(k,n)", "higher", "the same, of what a list so long can hold"),
    Metric("hit_rate@*", "higher", "share of lists with a hit"),
    Metric("ndcg@*", "higher", "hits, the more the further up", is_main=True),
    Metric("map@*/min(k,n)", "higher", "mean precision at each hit"),
    Metric("mrr@*", "higher", "1 / the place of the first hit", is_brief=False),
    Metric(
        "graded_ndcg@*",
        "higher",
        "what was withheld by its value, the more the further up",
        is_brief=False,
    ),
    Metric(
        "debiased_recall@*",
        "higher",
        "recall as if all items were observed as often",
        is_brief=False,
    ),
    Metric(
        "mean_popularity@*", "neither", "ratings of a listed item", is_brief=False, most=math.inf
    ),
    Metric(
        "self_information@*",
        "neither",
        "how unexpected a listed item is, in bits",
        is_brief=False,
        most=math.inf,
    ),
    Metric(
        "diversity@*",
        "neither",
        "how unlike each other the items of a list are",
        is_brief=False,
        most=2.0,
    ),
    Metric("coverage@*", "neither", "share of the items that are in somebody's list"),
    Metric("new@*", "neither", "share of the places that items without ratings have"),
    Metric("new among withheld", "neither", "share of such items among what was withheld"),
    Metric("gini@*", "neither", "how unevenly lists fall on the items", is_brief=False),
    Metric("auc", "higher", "share of pairs of items in the right order", is_main=True),
    Metric(
        "auc z",
        "higher",
        "auc above chance, in standard deviations of permuted items",
        least=-math.inf,
        most=math.inf,
    ),
    Metric(
        "rmse",
        "lower",
        "root mean squared error of predicted ratings",
        is_main=True,
        most=math.inf,
        is_root=True,
    ),
    Metric("mae", "lower", "mean absolute error of predicted ratings", most=math.inf),
    Metric("accuracy", "higher", "share of pictures whose class is right", is_main=True),
    Metric("top-5 accuracy", "higher", "share of pictures whose class is among the first five"),
    Metric("mean precision", "higher", "over classes"),
    Metric("mean recall", "higher", "over classes"),
    Metric("mean F1", "higher", "over classes"),
    Metric("calibration error", "lower", "how far probabilities are from shares that are right"),
)


def metric_of(name: str) -> Metric | None:
    """The row of a metric; None of one that is not in the table, as of an older version."""
    return next((metric for metric in METRICS if fnmatchcase(name, metric.name)), None)


def is_brief(name: str) -> bool:
    """Whether the console has room for a metric."""
    metric = metric_of(name)
    return metric is None or metric.is_brief


def direction_of(name: str) -> Direction:
    """Which values of a metric are better; of one that is not in the table, higher ones."""
    metric = metric_of(name)
    return "higher" if metric is None else metric.direction


def protocol(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A protocol's name, hash and facts, JSON-ready: two numbers can be compared only under the
    same hash.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return {"name": name, "hash": digest, **facts}


def per_class(confusion: Float64) -> Float64:
    """(classes, 3): precision, recall and F1 of counts (true class, predicted class); 0 where
    there is nothing to divide by.
    """
    right, predicted, true = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    precision, recall = right / np.maximum(predicted, 1), right / np.maximum(true, 1)
    both = precision + recall
    return np.column_stack(
        [
            precision,
            recall,
            np.where(both > 0, 2 * precision * recall / np.where(both > 0, both, 1), 0),
        ]
    )


@dataclass(frozen=True)
class Sums:
    """Count, sum and sum of squares of one or several quantities, from which means and standard
    errors are computed.
    """

    count: int
    total: Float64
    squares: Float64

    @classmethod
    def empty(cls, width: int) -> Self:
        return cls(0, np.zeros(width), np.zeros(width))

    @classmethod
    def of(cls, values: Float64) -> Self:
        """Of the rows of values: (n, width)."""
        return cls(len(values), values.sum(axis=0), (values**2).sum(axis=0))

    @classmethod
    def from_vector(cls, vector: Float64) -> Self:
        """Of what `to_vector` makes, and of the sum of several such."""
        total, squares = vector[1:].reshape(2, -1)
        return cls(int(vector[0]), total, squares)

    def to_vector(self) -> Float64:
        """(1 + 2 * width,): what adds up."""
        return np.concatenate([[float(self.count)], self.total, self.squares])

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.count + other.count, self.total + other.total, self.squares + other.squares
        )

    def mean(self) -> Float64:
        """(width,); NaN where nothing was counted."""
        return self.total / self.count if self.count else np.full_like(self.total, np.nan)

    def deviation(self) -> Float64:
        """(width,): the standard deviation of what was counted; NaN where nothing was."""
        return (
            np.sqrt(np.maximum(self.squares / self.count - self.mean() ** 2, 0))
            if self.count
            else self.mean()
        )

    def standard_error(self) -> Float64:
        """Of the mean, (width,); NaN below two values."""
        if self.count < 2:
            return np.full_like(self.total, np.nan)
        variance = (
            np.maximum(self.squares / self.count - self.mean() ** 2, 0)
            * self.count
            / (self.count - 1)
        )
        return np.sqrt(variance / self.count)
