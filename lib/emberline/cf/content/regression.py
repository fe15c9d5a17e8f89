"""Kernel ridge regression of factors by Nystrom's features of some landmarks (Williams,
Seeger 2001), rows of few ratings weighing less.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.cf.ridge import Moments, with_one
from emberline.numeric.arrays import Float32, Float64

_FLAT = 1e-6  # directions in which landmarks differ by less, as a share of the most, are noise
_FEW_RATINGS = 20  # an item of so many counts half as much as one of very many


def weights_of(ratings: Float64) -> Float64:
    """What each row (n,) counts, by its number of ratings: n / (n + 20)."""
    found: Float64 = ratings / (ratings + _FEW_RATINGS)
    return found


@dataclass(frozen=True)
class Root:
    """What makes features of kernels to m landmarks: (m, k)."""

    matrix: Float64

    @classmethod
    def of(cls, kernel: Float32) -> Self:
        """Of the kernel between the landmarks (m, m)."""
        values, vectors = np.linalg.eigh((kernel + kernel.T) / 2.0)
        kept = values > _FLAT * values.max(initial=0)
        return cls(vectors[:, kept] / np.sqrt(values[kept]))

    def features(self, kernel: Float32) -> Float32:
        """(n, k) of the kernel between rows and landmarks (n, m)."""
        found: Float32 = (kernel @ self.matrix.astype(np.float32)).astype(np.float32)
        return found


def solve(moments: Moments, penalty: float) -> Float64:
    """(k + 1, rank): the weights that minimise weighted squared error plus `penalty` times |w|^2,
    but for the constant's.
    """
    diagonal = np.full(len(moments.xx), penalty)
    diagonal[-1] = 1e-9
    return np.linalg.solve(moments.xx + np.diag(diagonal), moments.xy).astype(np.float64)


def predict(features: Float32, weights: Float64) -> Float32:
    """(n, rank)."""
    found: Float32 = (with_one(features) @ weights).astype(np.float32)
    return found


def by_likeness(kernel: Float32, coefficients: Float32, mean: Float32) -> Float32:
    """(n, rank): the same, of the kernel to the landmarks (n, m), what each of these adds (m,
    rank), and the mean (rank,).
    """
    found = kernel.astype(np.float64) @ coefficients.astype(np.float64) + mean
    return found.astype(np.float32)
