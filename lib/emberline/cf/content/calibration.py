"""Scores of items that nobody has rated, made comparable with those of items that are rated: on the
scale on which both are as likely to be liked.

A predicted score is surer of what is alike for all than of what tells items apart, and the factors
of a rated item have seen most of those who like it, where a new one has all of them before it. So
the same number does not say the same of both. With scores s of rated items, and d = u.(f - mean) of
new ones, each of two logistic regressions (Platt 1999) says how likely a pair is to be liked,

    P(rated) = 1 / (1 + exp(-(a + b s)))        P(new) = 1 / (1 + exp(-(a' + b' d)))

and the score at which a rated item would be as likely is  (b' d + a' - a) / b = slope d + offset.
Both are of the best tenth of the pairs, from which lists are made (further down the line is another
one), or of all, where that tells nothing.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.cf.entries import Arrays
from emberline.numeric.arrays import Bool, Float32, Float64

_BEST = 0.1  # of the pairs are looked at
_LEAST = 50  # pairs that are liked, to fit a line by
_NEW = 0.25  # of the rated items: so many at most are taken for new
_FARTHEST = 4.0  # slope, or 1 / slope, of scores that can be compared
_STEPS, _RIDGE, _NEAR = 50, 1e-6, 1e-7


@dataclass(frozen=True)
class Calibration:
    """What makes factors of new items, less the `centre` (rank,), into such whose products compare
    with those of rated ones, and what is added to these; `steepness` is b.
    """

    slope: float
    offset: float
    steepness: float
    centre: Float32

    def factors(self, predicted: Float32) -> Float32:
        """(n, rank), of predicted factors (n, rank)."""
        found: Float32 = (self.slope * (predicted - self.centre)).astype(np.float32)
        return found

    def added(self, rated: int, new: int) -> float:
        """To the products, where so many items are rated and so many are not. Where these are more
        than a quarter of those, most of them are not new but unwanted, and each is the less likely
        to be liked.
        """
        share = min(1.0, _NEW * rated / max(1, new))
        return self.offset + float(np.log(max(share, 1e-9))) / self.steepness


@dataclass(frozen=True)
class Pairs(Arrays):
    """Scores of pairs of a user and an item (n,), and which were liked (n,)."""

    scores: Float64
    liked: Bool

    def best(self) -> Self:
        """The tenth with the largest scores."""
        if not len(self.scores):
            return self
        return self.take(self.scores >= np.quantile(self.scores, 1 - _BEST))


def calibrated(rated: Pairs, new: Pairs, centre: Float32) -> Calibration | None:
    """By pairs that neither score has seen; None where too few of them are liked, or scores do not
    rise with how likely that is, about alike.
    """
    return _calibrated(rated.best(), new.best(), centre) or _calibrated(rated, new, centre)


def _calibrated(rated: Pairs, new: Pairs, centre: Float32) -> Calibration | None:
    if min(min(each.liked.sum(), (~each.liked).sum()) for each in (rated, new)) < _LEAST:
        return None
    (of_rated, steepness), (of_new, rise) = logistic(rated), logistic(new)
    if steepness <= 0 or not 1 / _FARTHEST < rise / steepness < _FARTHEST:
        return None
    return Calibration(rise / steepness, (of_new - of_rated) / steepness, steepness, centre)


def logistic(pairs: Pairs) -> tuple[float, float]:
    """The constant and the slope of the most likely logistic regression, by Newton's method, whose
    steps are halved as long as they lead up.
    """
    middle, spread = pairs.scores.mean(), max(float(pairs.scores.std()), 1e-12)
    x = np.column_stack([np.ones(len(pairs.scores)), (pairs.scores - middle) / spread])
    share = float(pairs.liked.mean())
    found = np.array([np.log(share / (1 - share)), 0.0])
    loss = _loss(x, pairs.liked, found)
    for _ in range(_STEPS):
        chance = _chance(x @ found)
        curve = (x * (chance * (1 - chance))[:, None]).T @ x
        step = np.linalg.solve(curve + _RIDGE * np.eye(2), x.T @ (chance - pairs.liked))
        while (after := _loss(x, pairs.liked, found - step)) > loss and np.abs(step).max() > _NEAR:
            step /= 2
        found, loss = found - step, min(after, loss)
        if np.abs(step).max() < _NEAR:
            break
    return float(found[0] - found[1] * middle / spread), float(found[1] / spread)


def _chance(logits: Float64) -> Float64:
    found: Float64 = np.exp(-np.logaddexp(0, -logits))
    return found


def _loss(x: Float64, liked: Bool, found: Float64) -> float:
    """Minus the logarithm of how likely it is."""
    logits = x @ found
    return float(np.logaddexp(0, logits).sum() - logits[liked].sum())
