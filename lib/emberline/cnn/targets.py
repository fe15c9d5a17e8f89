"""What the network learns instead of an item's factors: the main components of the standardised
factors.

Few components carry what pictures can know; the rest is noise to them. The way back is affine, and
becomes the model's last layer.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from emberline.numeric.arrays import Float32, Float64


@dataclass(frozen=True)
class Components:
    """`(factors - mean) @ forward` are targets of variance 1 at most; `targets @ back + mean` are
    factors.

    mean: (rank,); forward: (rank, count); back: (count, rank).
    """

    mean: Float32
    forward: Float32
    back: Float32

    def targets(self, factors: Float32) -> Float32:
        """(n, count) of factors (n, rank)."""
        centred: Float32 = factors - self.mean
        return centred @ self.forward


def fit_components(groups: Iterable[Float32], count: int) -> Components:
    """The `count` main components (or as many as there are) of factors, each factor first divided
    by its deviation.

    `groups` are some rows each, (n, rank), which are added up one after the other. All components
    are divided by the first one's
    deviation: their sizes relative to each other say how much each matters.
    """
    rows, mean, covariance = _moments(groups)
    deviation = np.sqrt(np.diagonal(covariance))
    varies = deviation > 1e-6 * np.abs(mean) + 1e-12
    spread = np.where(varies, deviation, 1)
    sizes, directions = np.linalg.eigh(
        covariance / np.outer(spread, spread) * np.outer(varies, varies)
    )
    # no component carries a constant factor
    main = directions[:, ::-1].T[: min(count, rows)] * varies
    scale = max(np.sqrt(max(sizes[-1], 0)), 1e-12)
    forward, back = main.T / spread[:, None] / scale, main * spread * scale
    return Components(mean.astype(np.float32), forward.astype(np.float32), back.astype(np.float32))


def _moments(groups: Iterable[Float32]) -> tuple[int, Float64, Float64]:
    """How many rows, their mean (rank,) and their covariance (rank, rank), from sums of
    differences to the first group's mean.
    """
    rows, origin, total, products = 0, np.zeros(0), np.zeros(0), np.zeros((0, 0))
    for group in groups:
        if not rows:
            origin = group.mean(axis=0, dtype=np.float64)
            total, products = np.zeros_like(origin), np.zeros((len(origin), len(origin)))
        centred = group - origin
        rows, total, products = (
            rows + len(group),
            total + centred.sum(axis=0),
            products + centred.T @ centred,
        )
    shift = total / rows
    return rows, origin + shift, products / rows - np.outer(shift, shift)
