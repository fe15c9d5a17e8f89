"""Users' equations, solved from the items' factors and taken apart by event, many users at a time.

Letters as in `reasons.py`. With `w Y.T Y = E diag(sigma) E.T`, which all users share, and S =
(diag(sigma) + reg I)^(-1/2), A is

    A = E S^-1 (I + Z.T Z) S^-1 E.T    where    Z = diag(a)^(1/2) Y_o E S

Its middle is what a user's own events add to what all have in common: its condition is small, where
A's is that of Y.T Y, so that it is inverted in float32 (in float64 where events weigh very much).
Where a user has few events, Z Z.T, of their number, is inverted in its place (Woodbury).

What is solved is A' = A - d I, d being what reg loses with one event: then all drops are exact by
the formula of Sherman and Morrison. The few vectors that A itself is needed for, a user's b and the
items that are explained, follow from A' by Richardson's iteration.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import Tile
from emberline.numeric.arrays import Bool, Float32, Float64, Int64

Floats = npt.NDArray[np.floating[Any]]

_STRONG = 4.0  # what events add to A, as a multiple of the rest: float32 ends there
_FLAT = 4 * np.finfo(np.float32).eps  # of the largest eigenvalue: no less is one
_TINY = 1e-30
_CLOSE = {4: 1e-7, 8: 1e-12}  # by bytes of a number: where an iteration ends
_FAR = 4.0  # of reg: a loss of so much of it is no small change
_SMALL = 8  # rows of matrices that are inverted row by row, larger ones are cut


@dataclass(frozen=True)
class Common:
    """What all users' equations have in common: the items' factors (n, width) along the `vectors`
    (width, width) of w Y.T Y, whose eigenvalues are `sizes` (width,), how many `rows` the items
    are, and the objective.
    """

    items: Float32
    vectors: Float32
    sizes: Float64
    rows: int
    objective: Objective

    @classmethod
    def of(cls, factors: Float32, grams: Grams, objective: Objective) -> Self:
        """Of the items' factors, and their sums over those that count."""
        width = factors.shape[1]
        sizes, vectors = np.zeros(width), np.eye(width)
        if objective.w:
            sizes, vectors = np.linalg.eigh(objective.w * grams.each)
        turned = vectors.astype(np.float32)
        return cls(factors @ turned, turned, np.maximum(sizes, 0), grams.rows, objective)


@dataclass(frozen=True)
class Solved:
    """Some users' equations, solved, in coordinates of each user's own: `scale` (rows, width) is S,
    `z` (rows, d, width) are their events, and `inverse` (rows, width, width) is that of the middle
    of A. b is `pull` (rows, d) times z.
    """

    scale: Floats
    z: Floats
    inverse: Floats
    pull: Floats

    @classmethod
    def of(cls, tile: Tile, sizes: Float64, penalties: Float64) -> Self:
        """With regularisations of so much (rows,)."""
        eigenvalues = sizes + penalties[:, None]
        scale = np.maximum(eigenvalues, max(_FLAT * eigenvalues.max(), _TINY)) ** -0.5
        z, inner = _scaled(tile, scale.astype(np.float32))
        if np.einsum("rij,rij->r", inner, inner).max(initial=0.0) > _STRONG**2:
            z, inner = _scaled(tile, scale)
        inverse, pull = _inverse_beside(z, inner), _pull(tile)
        return cls(scale.astype(z.dtype), z, inverse, pull.astype(z.dtype))

    def solve(self, right: Floats) -> Floats:
        """(rows, q, width) of right sides (rows, q, width)."""
        found: Floats = np.matmul(right, self.inverse)
        return found

    def heavier(self, solved: Floats, more: Float64) -> Floats:
        """What was solved (rows, q, width), with regularisations larger by so much (rows,), by
        damped Richardson iteration: as A^-1 (A + more I) has eigenvalues from 1 to 1 + r, the error
        is r / (2 + r) at first, and each round multiplies it by so much.
        """
        added = (self.scale * self.scale * more[:, None].astype(self.scale.dtype))[:, None, :]
        largest = float(added.max(initial=0.0))
        if not largest:
            return solved
        damped = solved * (2 / (2 + largest))
        found = damped
        for _ in range(math.ceil(math.log(_CLOSE[added.itemsize], largest / (2 + largest))) - 1):
            found = damped + (found * largest - 2 * self.solve(added * found)) / (2 + largest)
        return found

    def left(self) -> Floats:
        """1 - a h of each event: (rows, d)."""
        taken: Floats = np.einsum("rdw,rdw->rd", self.solve(self.z), self.z)
        return np.subtract(1, taken, out=taken)


@dataclass(frozen=True)
class Products:
    """Of some users, `solved` (rows, k + 1, width), which is A^-1 times the factors of the items
    and b, and the products `right` (rows, k + 1, width) of these.
    """

    by: Solved
    right: Floats
    solved: Floats

    @classmethod
    def of(cls, by: Solved, items: Float32) -> Self:
        """Of items with factors (rows, k, width), along the vectors that users have in common."""
        rows, k, width = items.shape
        right = np.empty((rows, k + 1, width), by.z.dtype)
        np.multiply(items, by.scale[:, None, :], out=right[:, :k])
        np.matmul(by.pull[:, None, :], by.z, out=right[:, k:])
        return cls(by, right, by.solve(right))

    def heavier(self, more: Float64) -> Self:
        """With regularisations larger by so much (rows,)."""
        return replace(self, solved=self.by.heavier(self.solved, more))

    def rise(self, fewer: Self, less: Float64) -> Floats:
        """By how much the items' scores (rows, k) are larger where regularisations are less by so
        much (rows,).
        """
        ours, theirs = (each.solved * each.by.scale[:, None, :] for each in (self, fewer))
        rise: Floats = np.einsum("rkw,rw->rk", ours[:, :-1], theirs[:, -1] * less[:, None])
        return rise

    def drops(self) -> Floats:
        """Of the items' scores, were A to lose one event and nothing else: (rows, k, d)."""
        products = np.matmul(self.solved, self.by.z.transpose(0, 2, 1))
        found: Floats = products[:, :-1]
        found *= ((self.by.pull - products[:, -1]) / self.by.left())[:, None, :]
        return found


@dataclass(frozen=True)
class Apart:
    """Scores of some items taken apart by the events of some users: `drops` (rows, k, d) without
    each.
    """

    products: Products
    drops: Floats

    @classmethod
    def of(
        cls,
        tile: Tile,
        items: Float32,
        common: Common,
        penalties: Float32,
        less: Float64,
        counted: Bool,
    ) -> Self:
        """Of items with factors (rows, k, width), for users whose regularisations (rows,) would be
        `less` (rows,) by so much without an event that is `counted` (rows, d), and the same without
        one that is not.
        """
        reg, wanted = penalties.astype(np.float64), np.matmul(items, common.vectors)
        fewer = Products.of(Solved.of(tile, common.sizes, reg - less), wanted)
        drops, strange = fewer.drops(), bool(less.any() and (~counted & (tile.e > 0)).any())
        if strange or np.any(less > _FAR * (common.sizes.min() + reg - less)):
            whole = Products.of(Solved.of(tile, common.sizes, reg), wanted)
        else:
            whole = fewer.heavier(less)
        if less.any():
            drops -= whole.rise(fewer, less).astype(drops.dtype)[:, :, None]
        return cls(whole, np.where(counted[:, None, :], drops, whole.drops()) if strange else drops)

    def scores(self) -> Floats:
        """Of the items: (rows, k)."""
        scores: Floats = np.einsum(
            "rkw,rw->rk", self.products.right[:, :-1], self.products.solved[:, -1]
        )
        return scores

    def contributions(self, row: Int64, item: Int64, event: Int64) -> Floats:
        """Of some events to some items' scores: (n,)."""
        by = self.products.by
        g: Floats = np.einsum("nw,nw->n", self.products.solved[row, item], by.z[row, event])
        return g * by.pull[row, event]


def _pull(tile: Tile) -> Floats:
    """t over the root of a. What weighs nothing is disliked, and pulls at nothing."""
    return np.where(tile.a > 0, tile.e * tile.p / np.sqrt(np.maximum(tile.a, _TINY)), 0)


def _scaled(tile: Tile, scale: Floats) -> tuple[Floats, Floats]:
    """z (rows, d, width), and the smaller one of z.T z and z z.T."""
    z = tile.y * scale[:, None, :]
    z *= np.sqrt(tile.a)[:, :, None]
    turned = z.transpose(0, 2, 1)
    return z, np.matmul(z, turned) if _has_few(z) else np.matmul(turned, z)


def _has_few(z: Floats) -> bool:
    events, width = z.shape[1:]
    return 2 * int(events) <= int(width)


def _inverse_beside(z: Floats, inner: Floats) -> Floats:
    """`(I + z.T z)^-1`: (rows, width, width) of z (rows, d, width) and its product with itself."""
    np.einsum("rii->ri", inner)[...] += 1
    found = inverse(inner)
    if _has_few(z):
        found = -np.matmul(z.transpose(0, 2, 1), np.matmul(found, z))
        np.einsum("rii->ri", found)[...] += 1
    return found


def inverse(matrices: Floats) -> Floats:
    """Of positive definite matrices (rows, n, n), by halves: products of many small matrices are
    several times as fast as LAPACK's inverse of each.
    """
    size = matrices.shape[-1]
    if size <= _SMALL:
        return _swept(matrices)
    half = size // 2
    beside, found = matrices[:, :half, half:], np.empty_like(matrices)
    first = inverse(matrices[:, :half, :half])
    moved = np.matmul(first, beside)
    rest = inverse(matrices[:, half:, half:] - np.matmul(beside.transpose(0, 2, 1), moved))
    across = np.matmul(moved, rest)
    found[:, half:, half:] = rest
    np.negative(across, out=found[:, :half, half:])
    found[:, half:, :half] = found[:, :half, half:].transpose(0, 2, 1)
    np.add(first, np.matmul(across, moved.transpose(0, 2, 1)), out=found[:, :half, :half])
    return found


def _swept(matrices: Floats) -> Floats:
    """The same by Gauss and Jordan, each step for all matrices at once."""
    swept = np.array(matrices.transpose(1, 2, 0), order="C")
    for step in range(len(swept)):
        pivot, column = 1 / swept[step, step], swept[:, step].copy()
        row = swept[step] * pivot
        swept -= column[:, None] * row
        swept[step], swept[:, step] = row, column * -pivot
        swept[step, step] = pivot
    return np.ascontiguousarray(swept.transpose(2, 0, 1))
