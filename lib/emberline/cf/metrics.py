"""Ranking and rating metrics as sums that can be merged: per block on executors, over blocks on the
driver.

For a user with the set R of relevant held-out items and a list of recommended items, hit(p) = 1
where the item at rank p is in R:

    precision@k            sum_{p<=k} hit(p) / k
    recall@k/n             sum_{p<=k} hit(p) / |R|
    recall@k/min(k,n)      sum_{p<=k} hit(p) / min(k, |R|)
    hit_rate@k             1 where there is a hit
    ndcg@k                 sum_{p<=k} hit(p) / log2(p + 1), divided by its largest possible value
                           (Jarvelin, Kekalainen 2002)
    map@k/min(k,n)         sum_{p<=k} hit(p) precision@p / min(k, |R|)

A list shorter than k counts as if filled with irrelevant items.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from emberline.numeric.arrays import Float64, Int32

_NAMES = (
    "precision@{k}",
    "recall@{k}/n",
    "recall@{k}/min(k,n)",
    "hit_rate@{k}",
    "ndcg@{k}",
    "map@{k}/min(k,n)",
)


def ranking_names(ks: tuple[int, ...]) -> list[str]:
    """The names of the columns of `per_user`."""
    return [name.format(k=k) for k in ks for name in _NAMES]


def per_user(relevant: Int32, hit_users: Int32, hit_ranks: Int32, ks: tuple[int, ...]) -> Float64:
    """Each user's metrics: (num_users, 6 * len(ks)).

    relevant: (num_users,) how many relevant items, at least 1; hit_users and hit_ranks: (num_hits,)
    the user's position in `relevant` and the hit's rank from 1.
    """
    return np.column_stack(
        [column for k in ks for column in _at_k(relevant, hit_users, hit_ranks, k)]
    )


def _at_k(relevant: Int32, hit_users: Int32, hit_ranks: Int32, k: int) -> list[Float64]:
    inside = hit_ranks <= k
    order = np.lexsort((hit_ranks[inside], hit_users[inside]))
    users, ranks = hit_users[inside][order], hit_ranks[inside][order]
    nth_hit = np.arange(len(users)) - np.searchsorted(users, users) + 1
    total = len(relevant)
    hits = np.bincount(users, minlength=total).astype(np.float64)
    gain = np.bincount(users, 1 / np.log2(ranks + 1), minlength=total)
    precisions = np.bincount(users, nth_hit / ranks, minlength=total)
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))])
    reachable = np.minimum(relevant, k)
    return [
        hits / k,
        hits / relevant,
        hits / reachable,
        (hits > 0) * 1.0,
        gain / ideal[reachable],
        precisions / reachable,
    ]


def protocol(name: str, facts: dict[str, Any]) -> dict[str, Any]:
    """A protocol's name, hash and facts, JSON-ready: two numbers can be compared only under the
    same hash.
    """
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    return {"name": name, "hash": digest, **facts}


def measured(model: str, metric: str, value: float, error: float, **count: int) -> dict[str, Any]:
    """A row of a report, JSON-ready: a standard error that is not a number is None; `count`
    says over how many of what.
    """
    known = None if np.isnan(error) else float(error)
    return {
        "model": model,
        "metric": metric,
        "value": float(value),
        "standard_error": known,
        **count,
    }


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
