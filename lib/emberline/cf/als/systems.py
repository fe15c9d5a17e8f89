"""Rows' equations `A x = b`, many at once: the ratings that rows have, as a tile of them, and what
all rows share.

Letters as in `objective.py`: `A = w Y.T Y + Y_o.T diag(a) Y_o + reg I` and `b = Y_o.T (e p)`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from emberline.numeric.arrays import Float32, Float64, Int64

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Tile:
    """The ratings of some rows, padded to the largest number d of them; what pads has e = a = 0.

    y: (rows, d, width) the others' factors; e, p, a: (rows, d).
    """

    y: Float32
    e: Float32
    p: Float32
    a: Float32

    def scores(self, x: Float32) -> Float32:
        """`Y_o x`: (rows, d)."""
        product: Float32 = np.matmul(self.y, x[:, :, None])
        return product[:, :, 0]

    def pull(self, weights: Float32) -> Float32:
        """`Y_o.T weights`: (rows, width) of (rows, d)."""
        product: Float32 = np.matmul(weights[:, None, :], self.y)
        return product[:, 0]

    def slopes(self, x: Float32, wanted: Float32 | None = None) -> tuple[Float32, Float32]:
        """The scores (rows, d) of x, and `Y_o.T (wanted - a scores)`: (rows, width); wanted: (rows,
        d), or nothing.
        """
        scores = self.scores(x)
        weights = self.a * scores
        return scores, self.pull(-weights if wanted is None else wanted - weights)

    def sums(self, values: Float32) -> Float32:
        """Each row's: (rows,) of (rows, d)."""
        found: Float32 = values.sum(axis=1)
        return found

    def spread(self, each: Float32) -> Float32:
        """Each row's number (rows, 1), as it is for all its ratings."""
        return each

    def some(self, rows: Int64) -> Iterator[tuple[Int64, Self]]:
        """A tile of some of the rows."""
        yield rows, type(self)(self.y[rows], self.e[rows], self.p[rows], self.a[rows])

    def normal(self, kind: type[np.floating[Any]] = np.float32) -> Floats:
        """`Y_o.T diag(a) Y_o`, of products in float32 or float64: (rows, width, width)."""
        y = self.y.astype(kind, copy=False)
        product: Floats = np.matmul((y * self.a[:, :, None]).transpose(0, 2, 1), y)
        return product

    def errors(self, scores: Float32) -> tuple[float, float]:
        """The observed part of the objective, and the sum of the squared scores."""
        wrong = self.p - scores
        return float(np.vdot(self.e * wrong, wrong)), float(np.vdot(scores * (self.e > 0), scores))


class Ratings(Protocol):
    """The ratings of some rows, as conjugate gradients need them: a tile, or `compiled.Ratings`,
    whose arrays of ratings are (n,).
    """

    @property
    def e(self) -> Float32: ...
    @property
    def p(self) -> Float32: ...
    @property
    def a(self) -> Float32: ...
    def scores(self, x: Float32) -> Float32: ...
    def pull(self, weights: Float32) -> Float32: ...
    def slopes(self, x: Float32, wanted: Float32 | None = None) -> tuple[Float32, Float32]: ...
    def sums(self, values: Float32) -> Float32: ...
    def spread(self, each: Float32) -> Float32: ...
    def some(self, rows: Int64) -> Iterator[tuple[Int64, Tile]]: ...
    def errors(self, scores: Float32) -> tuple[float, float]: ...


@dataclass(frozen=True)
class Shared:
    """What all rows' equations share: `base` = w Y.T Y (width, width), and a guess at the rest of
    them.

    `vectors` (width, width) are the directions of the mean y y.T over all ratings, `sizes` (width,)
    how large it is along each, and `base_sizes` how large `base` is.
    """

    base: Float32
    vectors: Float32
    sizes: Float32
    base_sizes: Float32

    @classmethod
    def of(cls, base: Float64, mean: Float64) -> Self:
        """Of w Y.T Y, and the mean y y.T over all ratings."""
        sizes, vectors = np.linalg.eigh(mean)
        along = np.einsum("ji,jk,ki->i", vectors, base, vectors)
        return cls(
            *(array.astype(np.float32) for array in (base, vectors, np.maximum(sizes, 0), along))
        )


@dataclass(frozen=True)
class System:
    """What A holds besides the ratings: what is `shared`, and `penalties` (rows,) on its
    diagonal.
    """

    shared: Shared
    penalties: Float32

    def guess(self, mass: Float32) -> "Guess":
        """A where each row's ratings, of the weight `mass` (rows,) together, are of rows that
        are rated like all others.
        """
        sizes = mass[:, None] * self.shared.sizes + self.shared.base_sizes + self.penalties[:, None]
        floor = np.maximum(1e-6 * sizes.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return Guess(self.shared.vectors, np.maximum(sizes, floor))

    def push(self, x: Float32) -> Float32:
        """`(w Y.T Y + reg I) x`: (rows, width)."""
        return x @ self.shared.base + self.penalties[:, None] * x


@dataclass(frozen=True)
class Guess:
    """Matrices near A with directions in common: `vectors` (width, width), and each row's
    `sizes` along them (rows, width).
    """

    vectors: Float32
    sizes: Float32

    def solve(self, b: Float32) -> Float32:
        """x (rows, width) of b."""
        along = np.matmul(b, self.vectors)
        along /= self.sizes
        x: Float32 = np.matmul(along, self.vectors.T)
        return x
