"""Solvers of alternating least squares: many rows' equations (`systems.py`) at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg

from emberline.cf.als.systems import Floats, Ratings, System, Tile
from emberline.numeric.arrays import Bool, Float32, Float64

SolverName = Literal["cg", "cholesky", "subspace", "exact"]

# of A's trace: what rounding its products to float32 may take from its eigenvalues
_NOISE = 4 * np.finfo(np.float32).eps
_PIVOTS, _CHANCES = 500, 3
_FLAT = 1e-10  # of the largest b: a slope that is 0 but for rounding
_ENOUGH_STEPS = 16
# of the distance from the answer, in A's norm, as a share of the answer's own length
_PRECISION = 1e-5


@dataclass(frozen=True)
class Solver:
    """How rows are solved.

    `cg` takes `steps` of conjugate gradients from the factors that a row has. `cholesky` is exact.
    `subspace` goes once over blocks of so many factors, each solved exactly while the others stay
    (iALS++, Rendle et al. 2021): for ranks of some hundreds. `exact` takes conjugate gradients as
    far as float32 goes, which is quicker than `cholesky` from factors that are good already; rows
    that do not get there are solved by it. `nonnegative` is exact under x >= 0, whatever the name
    says. What is exact holds rows by `prior` to where they start (`objective.py`). Where `compiled`
    and numba are, conjugate gradients are of `compiled.Ratings`.
    """

    name: SolverName = "cg"
    steps: int = 2
    subspace: int = 32
    nonnegative: bool = False
    prior: float = 0.0
    compiled: bool = False

    @property
    def forms_matrices(self) -> bool:
        """Whether A takes memory, of (width, width) a row."""
        return self.nonnegative or self.name != "cg"

    @property
    def iterates(self) -> bool:
        """Whether it is conjugate gradients."""
        return not self.nonnegative and self.name in ("cg", "exact")


def _full(normal: Floats, base: Floats, penalties: Float32) -> Float64:
    """`normal + base + reg I` in float64: (rows, width, width). What is added is more than
    rounding may have taken.
    """
    a = normal.astype(np.float64) + base
    diagonal = np.einsum("ijj->ij", a)
    noise = np.maximum(_NOISE * diagonal.sum(axis=1), np.finfo(np.float32).tiny)
    diagonal += np.maximum(penalties, noise)[:, None]
    return a


def solve(
    ratings: Ratings, system: System, start: Float32, solver: Solver
) -> tuple[Float32, Float32]:
    """x (rows, width), and its scores, one for each of the ratings, which are a tile unless the
    solver iterates.
    """
    if solver.iterates and solver.name == "exact":
        return _precise(ratings, system, start)
    if solver.iterates:
        x, scores, _ = _conjugate_gradients(ratings, system, start, solver.steps)
        return x, scores
    assert isinstance(ratings, Tile)
    if solver.name == "subspace" and not solver.nonnegative:
        return _subspace(ratings, system, start, solver.subspace)
    right = ratings.pull(ratings.e * ratings.p) + np.float32(solver.prior) * start
    penalties = system.penalties + np.float32(solver.prior)
    x = _by_matrices(ratings, right, system.shared.base, penalties, solver)
    return x, ratings.scores(x)


def solve_exactly(tile: Tile, base: Float64, penalties: Float32, nonnegative: bool) -> Float32:
    """x (rows, width) by matrices in float64, `base` being w Y.T Y."""
    a = _full(tile.normal(np.float64), base, penalties)
    return _exact(a, tile.pull(tile.e * tile.p), Solver("cholesky", nonnegative=nonnegative))


def solve_wide(pieces: Iterator[Tile], system: System, start: Float32, solver: Solver) -> Float32:
    """x (1, width) of a row whose equations are summed up piece by piece, exactly."""
    width = len(system.shared.base)
    normal, right = np.zeros((1, width, width)), np.zeros((1, width))
    for tile in pieces:
        normal += tile.normal(np.float64)
        right += tile.pull(tile.e * tile.p)
    right += solver.prior * start
    penalties = system.penalties + np.float32(solver.prior)
    return _exact(_full(normal, system.shared.base, penalties), right, solver)


def _by_matrices(
    tile: Tile, b: Floats, base: Float32, penalties: Float32, solver: Solver
) -> Float32:
    """x (rows, width) of `(Y_o.T diag(a) Y_o + base + reg I) x = b`, exactly."""
    try:
        return _exact(_full(tile.normal(), base, penalties), b, solver)
    # next to no regularisation, and far more ratings than directions: rounding adds up
    except np.linalg.LinAlgError:
        return _exact(_full(tile.normal(np.float64), base, penalties), b, solver)


def _exact(a: Float64, b: Floats, solver: Solver) -> Float32:
    if solver.nonnegative:
        return _nonnegative(a, b)
    x: Float64 = scipy.linalg.solve(
        a, b[:, :, None].astype(np.float64), assume_a="pos", check_finite=False
    )
    return x[:, :, 0].astype(np.float32)


def _precise(ratings: Ratings, system: System, start: Float32) -> tuple[Float32, Float32]:
    """Conjugate gradients until all rows are precise, or by Cholesky where many steps are not
    enough. What nothing pulls at is zero.
    """
    right = ratings.pull(ratings.e * ratings.p)
    size = _dots(right, system.guess(ratings.sums(ratings.a)).solve(right))
    enough = _PRECISION**2 * size
    begin = np.where(size[:, None] > 0, start, np.float32(0))
    x, scores, distance = _conjugate_gradients(ratings, system, begin, _ENOUGH_STEPS, enough)
    rest = np.flatnonzero(~(distance <= enough))
    cholesky, base = Solver("cholesky"), system.shared.base
    for rows, tile in ratings.some(rest):
        x[rows] = _by_matrices(tile, right[rows], base, system.penalties[rows], cholesky)
    return x, ratings.scores(x) if len(rest) else scores


def _conjugate_gradients(
    ratings: Ratings, system: System, start: Float32, steps: int, enough: Float32 | float = 0.0
) -> tuple[Float32, Float32, Float32]:
    """A few steps of conjugate gradients from `start`, A never being formed (Takacs, Pilaszy and
    Tikk 2011).

    They are preconditioned: a row's A is guessed from what an average rating adds to it. Three
    steps then come as near to the answer as six without. They end when all rows' squared distances
    (rows,) from the answer, by that guess, are `enough`; those are returned after x and its scores.
    Without `enough` nobody asks for the distance after the last step, nor for the slope that it is
    of, which is a sixth of the work of two steps: they are those before it.
    """
    guess = system.guess(ratings.sums(ratings.a))
    x = start.copy()
    scores, residual = ratings.slopes(x, ratings.e * ratings.p)
    residual -= system.push(x)
    direction = guess.solve(residual)
    square = _dots(residual, direction)
    for left in reversed(range(steps)):
        if np.all(square <= enough):
            break
        is_last = not left and not np.any(enough)
        along, slope = (ratings.scores(direction), None) if is_last else ratings.slopes(direction)
        pushed = system.push(direction)
        energy = ratings.sums(ratings.a * along * along) + _dots(pushed, direction)
        step = _ratio(square, energy)
        x += step * direction
        scores += ratings.spread(step) * along
        if slope is None:
            break
        residual += step * (slope - pushed)
        guessed = guess.solve(residual)
        before, square = square, _dots(residual, guessed)
        direction *= _ratio(square, before)
        direction += guessed
    return x, scores, square


def _dots(left: Float32, right: Float32) -> Float32:
    """The products of their rows: (rows,)."""
    dots: Float32 = np.einsum("ij,ij->i", left, right)
    return dots


def _ratio(above: Float32, below: Float32) -> Float32:
    """(rows, 1); 0 where a row is solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)[:, None]


def _subspace(tile: Tile, system: System, start: Float32, size: int) -> tuple[Float32, Float32]:
    """One pass over blocks of `size` factors, each solved exactly for what the others leave
    (Rendle et al. 2021, section 4).
    """
    x, scores, base = start.copy(), tile.scores(start), system.shared.base
    for first in range(0, x.shape[1], size):
        part = slice(first, first + size)
        within = Tile(tile.y[:, :, part], tile.e, tile.p, tile.a)
        slope = (
            within.pull(tile.e * tile.p - tile.a * scores)
            - x @ base[:, part]
            - system.penalties[:, None] * x[:, part]
        )
        step = _by_matrices(within, slope, base[part, part], system.penalties, Solver("cholesky"))
        x[:, part] += step
        scores += within.scores(step)
    return x, scores


def _nonnegative(a: Float64, b: Floats) -> Float32:
    """argmin x.T A x / 2 - b.x under x >= 0: (rows, width), by block principal pivoting (Kim and
    Park 2011, section 3).

    Of each row, the factors that are `free` are solved exactly, the others are 0; those that turn
    out negative, or whose slope says that they should grow, change sides, all at once while that
    helps, else only the last one, which always ends.
    """
    found = np.zeros(b.shape)
    rest, free = np.arange(len(b)), np.ones(b.shape, bool)
    fewest, chances = np.full(len(b), b.shape[1] + 1), np.full(len(b), _CHANCES)
    for _ in range(_PIVOTS):
        some, right = a[rest], b[rest]
        x = _solve_free(some, right, free)
        slope = np.einsum("ijk,ik->ij", some, x) - right
        wrong = np.where(free, x < 0, slope < -_FLAT * np.abs(right).max(axis=1, keepdims=True))
        found[rest] = x
        count = wrong.sum(axis=1)
        chances = np.where(count < fewest, _CHANCES, chances - 1)
        fewest = np.minimum(count, fewest)
        last = np.arange(b.shape[1]) == b.shape[1] - 1 - np.argmax(wrong[:, ::-1], axis=1)[:, None]
        free = free ^ np.where(chances[:, None] >= 0, wrong, last)
        go_on = count > 0
        rest, free, fewest, chances = (array[go_on] for array in (rest, free, fewest, chances))
        if not len(rest):
            break
    return np.maximum(found, 0).astype(np.float32)


def _solve_free(a: Float64, b: Floats, free: Bool) -> Float64:
    """x (rows, width) of `A x = b` where only the `free` ones (rows, width) may differ from 0."""
    both = a * (free[:, :, None] & free[:, None, :])
    np.einsum("ijj->ij", both)[...] += ~free
    x: Float64 = scipy.linalg.solve(
        both, (b * free)[:, :, None].astype(np.float64), assume_a="pos", check_finite=False
    )
    return x[:, :, 0]
