"""Ridge regression from sums that can be merged, so that rows stay where they are and one small
system is solved.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.numeric.arrays import Float32, Float64


@dataclass(frozen=True)
class Moments:
    """Of rows x (d,) with a 1 appended and y (m,): how many, and the weighted sums of x x.T, x
    y.T and y y.T's diagonal.
    """

    count: int
    xx: Float64
    xy: Float64
    yy: Float64

    @classmethod
    def empty(cls, features: int, targets: int) -> Self:
        return cls(
            0,
            np.zeros((features + 1, features + 1)),
            np.zeros((features + 1, targets)),
            np.zeros(targets),
        )

    @classmethod
    def of(cls, features: Float32, targets: Float32, weights: Float64 | None = None) -> Self:
        """Of features (n, d), targets (n, m) and weights (n,), which are 1 where none are given."""
        x, y = with_one(features).astype(np.float64), targets.astype(np.float64)
        weighted = x if weights is None else x * weights[:, None]
        squares = y**2 if weights is None else y**2 * weights[:, None]
        return cls(len(x), x.T @ weighted, weighted.T @ y, squares.sum(axis=0))

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.count + other.count, self.xx + other.xx, self.xy + other.xy, self.yy + other.yy
        )

    def less(self, other: Self) -> Self:
        """Without some of these rows."""
        return type(self)(
            self.count - other.count, self.xx - other.xx, self.xy - other.xy, self.yy - other.yy
        )

    def flat(self) -> Float64:
        """All of it as one vector, to be added up."""
        return np.concatenate([[self.count], self.xx.ravel(), self.xy.ravel(), self.yy])

    @classmethod
    def of_flat(cls, sums: Float64, targets: int) -> Self:
        """What is flat, of so many targets (m): 1 + (d + 1)^2 + (d + 1) m + m numbers."""
        width = round((-targets + np.sqrt(targets**2 + 4 * (len(sums) - 1 - targets))) / 2)
        xx, xy, yy = np.split(sums[1:], [width**2, width**2 + width * targets])
        return cls(int(sums[0]), xx.reshape(width, width), xy.reshape(width, targets), yy)

    def solve(self, strength: float) -> Float64:
        """(d + 1, m): the weights that minimise squared error plus `strength` times the mean of x
        x.T's diagonal times |w|^2.

        The constant's weight is not penalised.
        """
        diagonal = np.full(
            len(self.xx), strength * np.trace(self.xx[:-1, :-1]) / max(1, len(self.xx) - 1)
        )
        diagonal[-1] = 1e-9
        return np.linalg.solve(self.xx + np.diag(diagonal), self.xy).astype(np.float64)

    def squared_error(self, weights: Float64) -> float:
        """Summed over these rows and all targets, of predictions `x @ weights`."""
        return float(
            self.yy.sum() - 2 * (weights * self.xy).sum() + (weights * (self.xx @ weights)).sum()
        )


def with_one(features: Float32) -> Float32:
    """(n, d + 1): a last column of ones."""
    return np.column_stack([features, np.ones(len(features), np.float32)])


def choose(train: Moments, held_out: Moments, strengths: tuple[float, ...]) -> Float64:
    """The weights from `train` with the strength whose error on `held_out` is smallest."""
    candidates = [train.solve(strength) for strength in strengths]
    return min(candidates, key=held_out.squared_error)
