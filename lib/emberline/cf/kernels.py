"""A kernel by a few landmarks, so that kernel regression is ridge regression on rows that stay
where they are.

Of rows of length 1, such as square roots of histograms, whose product is the Bhattacharyya
coefficient, the kernel is

    K(a, b) = exp(-(1 - a b) / WIDTH)

and the features of x are K(x, L) K(L, L)^(-1/2), the products of which are about K (Nystrom's
method; Williams, Seeger 2001).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.numeric.arrays import Float32, Float64

WIDTH = 0.15
# directions in which the landmarks differ by less than this share of the largest are noise
_FLAT = 1e-6


def kernel(left: Float32, right: Float32) -> Float64:
    """(n, m) of rows (n, d) and (m, d)."""
    products: Float64 = left.astype(np.float64) @ right.T.astype(np.float64)
    return np.exp((products - 1) / WIDTH)


@dataclass(frozen=True)
class Landmarks:
    """Some rows (m, d), and what makes features of being like them (m, k)."""

    rows: Float32
    root: Float64

    @classmethod
    def of(cls, rows: Float32) -> Self:
        values, vectors = np.linalg.eigh(kernel(rows, rows))
        kept = values > _FLAT * values.max(initial=0)
        return cls(rows, vectors[:, kept] / np.sqrt(values[kept]))

    def features(self, rows: Float32) -> Float32:
        """(n, k) of rows (n, d)."""
        found: Float32 = (kernel(rows, self.rows) @ self.root).astype(np.float32)
        return found
