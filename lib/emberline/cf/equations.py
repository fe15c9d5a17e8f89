"""Users' equations, solved from the items' factors and taken apart by event, many users at a time.

Letters as in `reasons.py`. With `w Y.T Y = E diag(sigma) E.T`, which all users share, and S =
(diag(sigma) + reg_param I)^(-1/2), A is

    A = E S^-1 (D + Z.T Z) S^-1 E.T    where    Z = diag(a)^(1/2) Y_o E S

and D = S^2 (diag(sigma) + reg I) is near I. Its middle is what a user's own events add to what all
have in common: its condition is small, where A's is that of Y.T Y, so that it is inverted in
float32 (in float64 where events weigh very much). Where a user has few events, K = I + Z D^-1 Z.T,
of their number, is inverted in its place (Woodbury); then 1 - a_j h is what K^-1 has on its
diagonal, as Z (D + Z.T Z)^-1 Z.T = I - K^-1.

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
from emberline.cf.als.systems import Tile
from emberline.numeric.arrays import Bool, Float32, Float64, Int32, Int64

Floats = npt.NDArray[np.floating[Any]]

_STRONG = 8.0  # condition of the middle of A: float32 ends there
_FLAT = 4 * np.finfo(np.float32).eps  # of the largest eigenvalue: no less is one
_TINY = 1e-30
_CLOSE = {4: 1e-6, 8: 1e-12}  # by bytes of a number: where an iteration ends
_FAR = 4.0  # of reg: a loss of so much of it is no small change
_SMALL = 8  # rows of matrices that are inverted row by row, larger ones are cut


@dataclass(frozen=True)
class Common:
    """What all users' equations have in common: the items' `factors` (n, width), the `basis` E S
    (width, width), factors times that, `sizes` sigma and `scale` the squares of S (width,), how
    many `rows` the items are, and the objective.
    """

    factors: Float32
    items: Float32
    basis: Float64
    sizes: Float64
    scale: Float64
    rows: int
    objective: Objective

    @classmethod
    def of(cls, factors: Float32, grams: Grams, objective: Objective) -> Self:
        """Of the items' factors, and their sums over those that count."""
        width = factors.shape[1]
        sizes, vectors = np.zeros(width), np.eye(width)
        if objective.w:
            sizes, vectors = np.linalg.eigh(objective.w * grams.each)
        sizes = np.maximum(sizes, max(_FLAT * sizes.max(initial=0), _TINY))
        scale = 1 / (sizes + objective.reg_param)
        if objective.biases:  # an item's is a factor that stays what it is
            scale = np.ones(width)
        nothing = np.empty((0, width), np.float32)
        basis = vectors * np.sqrt(scale)
        found = cls(nothing, nothing, basis, sizes, scale, grams.rows, objective)
        return found.with_items(factors)

    def with_items(self, factors: Float32) -> Self:
        """Of some items' factors (n, width), in the place of those there are."""
        return replace(self, factors=factors, items=factors @ self.basis.astype(np.float32))


@dataclass(frozen=True)
class Solved:
    """Some users' equations, solved: `diagonal` (rows, width) is D, `z` (rows, d, width) are their
    events, `inverse` (rows, width, width) is that of the middle of A, or, where events are `few`,
    (rows, d, d) of K. b is `pull` (rows, d) times z.
    """

    diagonal: Float64
    z: Floats
    inverse: Floats
    pull: Floats
    few: bool

    @classmethod
    def of(cls, tile: Tile, columns: Int32, common: Common, penalties: Float64) -> Self:
        """With regularisations of so much (rows,), of events of some items (rows, d)."""
        diagonal = (common.sizes + penalties[:, None]) * common.scale
        few = tile.y.shape[1] <= tile.y.shape[2]
        z: Floats = tile.y * np.sqrt(tile.a)[:, :, None]
        found = _inverse(z, diagonal.astype(np.float32), few, _STRONG)
        if found is None:
            z = _exactly(tile, columns, common)
            found = _inverse(z, diagonal, few, math.inf)
        assert found is not None
        return cls(diagonal, z, found, _pull(tile, z.dtype), few)

    def solve(self, right: Floats) -> Floats:
        """(rows, q, width) of right sides (rows, q, width)."""
        if not self.few:
            found: Floats = np.matmul(right, self.inverse)
            return found
        diagonal = self.diagonal.astype(right.dtype)[:, None, :]
        found = right / diagonal
        pulled = np.matmul(np.matmul(found, self.z.transpose(0, 2, 1)), self.inverse)
        found -= np.matmul(pulled, self.z) / diagonal
        return found

    def solve_well(self, right: Floats) -> Floats:
        """The same, with what is left of the right sides solved once more where events weigh very
        much: an inverse alone is inexact along them.
        """
        found = self.solve(right)
        if self.z.dtype == np.float64:
            pulled = np.matmul(np.matmul(found, self.z.transpose(0, 2, 1)), self.z)
            found += self.solve(right - self.diagonal[:, None, :] * found - pulled)
        return found

    def heavier(self, solved: Floats, added: Floats) -> Floats:
        """What was solved (rows, q, width), with so much more (rows, width) on D's diagonal, by
        damped Richardson iteration: as A^-1 times what it becomes has eigenvalues from 1 to 1 + r,
        the error is r / (2 + r) at first, and each round multiplies it by so much.
        """
        largest = self.share(added)
        if not largest:
            return solved
        damped = solved * (2 / (2 + largest))
        found = damped
        for _ in range(math.ceil(math.log(_CLOSE[solved.itemsize], largest / (2 + largest))) - 1):
            moved = self.solve(added[:, None, :] * found)
            found = damped + (found * largest - 2 * moved) / (2 + largest)
        return found

    def share(self, added: Floats) -> float:
        """How much something on D's diagonal (rows, width) adds to A at most, as a share of it."""
        return float((added / self.diagonal).max(initial=0.0))

    def left(self) -> Floats:
        """1 - a h of each event: (rows, d)."""
        if self.few:
            kept: Floats = np.einsum("rdd->rd", self.inverse)
            return kept
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
    def of(cls, by: Solved, items: Floats) -> Self:
        """Of items (rows, k, width) in the basis that users have in common."""
        b = np.matmul(by.pull[:, None, :], by.z)
        right = np.concatenate([items.astype(b.dtype, copy=False), b], axis=1)
        return cls(by, right, by.solve_well(right))

    def heavier(self, added: Floats) -> Self:
        """With so much more (rows, width) on D's diagonal."""
        return replace(self, solved=self.by.heavier(self.solved, added))

    def drops(self) -> Floats:
        """Of the items' scores, were A to lose one event and nothing else: (rows, k, d)."""
        products = np.matmul(self.by.z, self.solved.transpose(0, 2, 1)).transpose(0, 2, 1)
        change = (self.by.pull - products[:, -1]) / self.by.left()
        found: Floats = np.multiply(products[:, :-1], change[:, None, :], order="C")
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
        columns: Int32,
        items: Float32,
        common: Common,
        penalties: Float32,
        less: Float64,
        counted: Bool,
    ) -> Self:
        """Of items with factors (rows, k, width), for users with events of `columns` (rows, d)
        whose regularisations (rows,) would be `less` (rows,) by so much without an event that is
        `counted` (rows, d), and the same without one that is not.
        """
        reg, wanted = penalties.astype(np.float64), np.matmul(items, common.basis)
        fewer = Products.of(Solved.of(tile, columns, common, reg - less), wanted)
        strange = bool(less.any() and (~counted & (tile.e > 0)).any())
        added = (less[:, None] * common.scale).astype(fewer.solved.dtype)
        if strange or fewer.by.share(added) > _FAR:
            whole = Products.of(Solved.of(tile, columns, common, reg), wanted)
        else:
            whole = fewer.heavier(added)
        drops = fewer.drops()
        rise = np.einsum("rkw,rw->rk", whole.solved[:, :-1], fewer.solved[:, -1] * added)
        drops -= rise.astype(drops.dtype)[:, :, None]
        return cls(whole, np.where(counted[:, None, :], drops, whole.drops()) if strange else drops)

    def scores(self) -> Floats:
        """Of the items: (rows, k)."""
        b, solved = self.products.right[:, -1], self.products.solved[:, :-1]
        scores: Floats = np.einsum("rkw,rw->rk", solved, b)
        return scores

    def contributions(self, row: Int64, item: Int64, event: Int64) -> Floats:
        """Of some events to some items' scores: (n,)."""
        by = self.products.by
        g: Floats = np.einsum("nw,nw->n", self.products.solved[row, item], by.z[row, event])
        return g * by.pull[row, event]


def _pull(tile: Tile, kind: Any) -> Floats:
    """t over the root of a. What weighs nothing is disliked, and pulls at nothing."""
    t, a = tile.e.astype(kind) * tile.p, tile.a.astype(kind)
    return np.where(a > 0, t / np.sqrt(np.maximum(a, _TINY)), 0)


def _exactly(tile: Tile, columns: Int32, common: Common) -> Float64:
    """z in float64, from the factors as they are: what weighs very much stands on its last
    digits.
    """
    y = tile.y.astype(np.float64)
    if not common.objective.biases:
        y = common.factors[columns] @ common.basis
    return y * np.sqrt(tile.a.astype(np.float64))[:, :, None]


def _inverse(z: Floats, diagonal: Floats, few: bool, most: float) -> Floats | None:
    """`(D + Z.T Z)^-1` (rows, width, width) of events (rows, d, width) and D (rows, width), or of
    few events `K^-1` (rows, d, d), unless the condition may be more than `most`.
    """
    if few:
        z = z / np.sqrt(diagonal)[:, None, :]
    turned = z.transpose(0, 2, 1)
    inner = np.matmul(z, turned) if few else np.matmul(turned, z)
    size = np.sqrt(np.einsum("rij,rij->r", inner, inner))
    least, largest = (1.0, 1.0) if few else (diagonal.min(axis=1), diagonal.max(axis=1))
    if np.any(size + largest > most * least):
        return None
    np.einsum("rii->ri", inner)[...] += 1 if few else diagonal
    return inverse(inner)


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
