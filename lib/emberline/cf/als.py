"""Alternating least squares: the factors of one side from the other side's, many rows at a time.

Letters as in Hu, Koren and Volinsky (2008), seen from a row, which is a user or an item: x are its factors, Y the factors of the
other side, w the weight of what was not observed. Over all pairs of rows x and y, the sum that is made small is

    sum_observed e (p - x.y)^2  +  w sum_unobserved (x.y)^2  +  sum_x reg_x |x|^2  +  sum_y reg_y |y|^2

    feedback                    e                      p                    w                    the count in reg
    explicit                    1                      value                0                    ratings of the row
    implicit                    1 + alpha |value|      1 if value > 0       1                    positive ratings of the row
    with log_confidence         1 + alpha log(1 + |value|)                                       (Hu et al., equation 6)
    with unobserved_weight      1                      else 0               unobserved_weight    ratings + w * rated rows
                                                                                                 of the other side
    reg = reg_param * count ** reg_exponent

The first line is ALS-WR (Zhou et al. 2008), the second equation 3 of Hu et al., both regularised as MLlib does at exponent 1. The
third is iALS of Rendle et al. (2021), whose second sum goes over all pairs, the observed ones included. With biases, which only
explicit feedback has, a row's last factor is its bias and x.y means `x'.y' + bias_x + bias_y + mean`.

Each row then solves `A x = b` with `A = w Y.T Y + Y_o.T diag(a) Y_o + reg I` and `b = Y_o.T (e p)`, Y_o being the rows of Y that
it rated, and a = e, or e - w where the observed pairs are not among the unobserved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.linalg

from emberline.cf import hashing
from emberline.cf.blocks import Block, Float32, Int32, Int64

Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
SolverName = Literal["cg", "cholesky", "subspace", "exact"]

_TILE = 1 << 20  # float32 numbers of Y_o at a time, 4 MiB: they stay in the cache while a tile is solved
_WIDEST = 8  # a row that needs more than so many tiles is summed up piece by piece
_PADDING = 1.15
_CHUNK = 1 << 14  # rows that are in float64 or uint64 at a time
_JITTER = 1e-6  # share of A's mean diagonal that is added to it where it might be singular
_SWEEPS = 200
_ENOUGH_STEPS = 16
_PRECISION = 1e-5  # of the distance from the answer, in A's norm, as a share of the answer's own length


@dataclass(frozen=True)
class Objective:
    """What is made small, as in the table above; `mean` is taken off explicit values where there are biases."""

    implicit: bool
    reg_param: float
    reg_exponent: float = 1.0
    alpha: float = 1.0
    log_confidence: bool = False
    unobserved_weight: float | None = None
    biases: bool = False
    mean: float = 0.0

    @property
    def w(self) -> float:
        """The weight of a pair that was not observed."""
        if not self.implicit:
            return 0.0
        return 1.0 if self.unobserved_weight is None else self.unobserved_weight

    @property
    def replaces(self) -> bool:
        """Whether an observed pair's term takes the place of its unobserved one (Hu et al.), or is added (Rendle et al.)."""
        return self.unobserved_weight is None

    def width(self, rank: int) -> int:
        """How many numbers a row's factors are."""
        return rank + self.biases

    def terms(self, values: Float32) -> tuple[Float32, Float32]:
        """The weights e and preferences p of observed values, in their shape."""
        if not self.implicit:
            return np.ones_like(values), values - np.float32(self.mean)
        preferences = (values > 0).astype(np.float32)
        if self.unobserved_weight is not None:
            return np.ones_like(values), preferences
        strengths = np.log1p(np.abs(values)) if self.log_confidence else np.abs(values)
        return 1 + np.float32(self.alpha) * strengths, preferences

    def penalties(self, block: Block, num_others: int) -> Float32:
        """reg of each row (m,) of a sparse block, when the other side has `num_others` rated rows."""
        counts = np.diff(block.indptr).astype(np.float64)
        if self.unobserved_weight is not None:
            counts += self.w * num_others
        elif self.implicit:
            counts = np.add.reduceat(block.values > 0, block.indptr[:-1]).astype(np.float64)
        return (self.reg_param * counts**self.reg_exponent).astype(np.float32)


@dataclass(frozen=True)
class Loss:
    """The objective's parts over some rows: `squares` is the sum of (x.y)^2 over the observed pairs, `everywhere` over all."""

    observed: float
    squares: float
    everywhere: float
    penalty: float

    @classmethod
    def empty(cls) -> Self:
        return cls(0.0, 0.0, 0.0, 0.0)

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.observed + other.observed,
            self.squares + other.squares,
            self.everywhere + other.everywhere,
            self.penalty + other.penalty,
        )

    def unobserved(self, objective: Objective) -> float:
        """The second sum."""
        return objective.w * (self.everywhere - (self.squares if objective.replaces else 0.0))


@dataclass(frozen=True)
class Solver:
    """How rows are solved.

    `cg` takes `steps` of conjugate gradients from the factors that a row has. `cholesky` is exact. `subspace` goes once over
    blocks of so many factors, each solved exactly while the others stay (iALS++, Rendle et al. 2021): for ranks of some hundreds.
    `exact` takes conjugate gradients as far as float32 goes, which is quicker than `cholesky` from factors that are good already;
    rows that do not get there are solved by it. `nonnegative` is exact under x >= 0, whatever the name says.
    """

    name: SolverName = "cg"
    steps: int = 2
    subspace: int = 32
    nonnegative: bool = False


def gramian(factors: Float32) -> Float64:
    """`Y.T @ Y`: (rank, rank) of factors (n, rank), products in float64."""
    total = np.zeros((factors.shape[1],) * 2)
    for first in range(0, len(factors), _CHUNK):
        exact = factors[first : first + _CHUNK].astype(np.float64)
        total += exact.T @ exact
    return total


def initial_factors(ids: Int32, rank: int, seed: int, nonnegative: bool = False) -> Float32:
    """(n, rank): random directions that depend on the seed and each id alone."""
    factors = np.empty((len(ids), rank), np.float32)
    for first in range(0, len(ids), _CHUNK):
        factors[first : first + _CHUNK] = _directions(ids[first : first + _CHUNK], rank, seed, nonnegative)
    return factors


def _directions(ids: Int32, rank: int, seed: int, nonnegative: bool) -> Float32:
    numbers = (ids.astype(np.int64)[:, None] * rank + np.arange(rank)).astype(np.uint64)
    state = hashing.mix(numbers + hashing.mix(np.full(1, seed, np.uint64)))
    uniform = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    vectors = uniform if nonnegative else 2 * uniform - 1
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Float32 = vectors / np.maximum(lengths, np.float32(1e-12))
    return directions


def published(factors: Float32, side: str, objective: Objective) -> Float32:
    """Factors (m, width) of users or items, with biases written so that the dot product of both sides' is the prediction.

    A user's are then `x', bias + mean, 1`, an item's `y', 1, bias`: (m, rank + 2).
    """
    if not objective.biases:
        return factors
    vectors, bias, one = factors[:, :-1], factors[:, -1:], np.ones((len(factors), 1), np.float32)
    tail = [bias + np.float32(objective.mean), one] if side == "user" else [one, bias]
    return np.hstack([vectors, *tail])


def unpublished(factors: Float32, side: str, objective: Objective) -> Float32:
    """What `published` was given."""
    if not objective.biases:
        return factors
    bias = factors[:, -2:-1] - np.float32(objective.mean) if side == "user" else factors[:, -1:]
    return np.hstack([factors[:, :-2], bias])


@dataclass(frozen=True)
class Grams:
    """Sums over a side's rated rows: `each` of y y.T, (width, width), and `rated`, where a row counts as often as it is rated.

    `rows` and `ratings` are of how many.
    """

    each: Float64
    rated: Float64
    rows: int
    ratings: int

    @classmethod
    def empty(cls, width: int) -> Self:
        return cls(np.zeros((width, width)), np.zeros((width, width)), 0, 0)

    @classmethod
    def of(cls, factors: Float32, counts: Int64) -> Self:
        """Of factors (n, width) of rows with so many ratings (n,)."""
        weighted = factors * np.sqrt(counts, dtype=np.float32)[:, None]
        return cls(gramian(factors), gramian(weighted), len(factors), int(counts.sum()))

    def merge(self, other: Self) -> Self:
        return type(self)(self.each + other.each, self.rated + other.rated, self.rows + other.rows, self.ratings + other.ratings)


def half_step(
    block: Block, others: Float32, grams: Grams, start: Float32, objective: Objective, solver: Solver
) -> tuple[Float32, Loss]:
    """New factors (m, width) of a block's rows, and what they add to the objective.

    block: m rows of ratings, none of them empty, whose columns are rows of `others` (n, width); grams: of the whole other side;
    start: (m, width), where iterative solvers begin.
    """
    degrees = np.diff(block.indptr)
    penalties = objective.penalties(block, grams.rows)
    gather, shared = _Gather(block, others, objective), _Shared.of(grams, objective)
    factors = np.empty_like(start)
    loss = Loss.empty()
    for rows in _alike(degrees, others.shape[1]):
        system = _System(shared, penalties[rows])
        first, count = block.indptr[rows], degrees[rows]
        if count[-1] * others.shape[1] <= _WIDEST * _TILE:
            tiles = [gather.tile(first, count)]
            factors[rows], scores = _solve(tiles[0], system, start[rows], solver)
            parts = [tiles[0].errors(scores)]
        else:
            factors[rows] = _solve_wide(gather.pieces(first, count), system, solver)
            parts = [tile.errors(tile.scores(factors[rows])) for tile in gather.pieces(first, count)]
        loss = loss.merge(_loss(parts, factors[rows], grams.each, penalties[rows]))
    return factors, loss


def _alike(degrees: Int64, width: int) -> Iterator[Int64]:
    """Positions of rows that are solved together: of almost the same degree, ascending, and few enough for the cache."""
    order = np.argsort(degrees, kind="stable")
    ascending = degrees[order]
    first = 0
    while first < len(order):
        alike = int(np.searchsorted(ascending, ascending[first] * _PADDING, side="right"))
        after = min(alike, first + max(1, _TILE // int(ascending[alike - 1] * width)))
        yield order[first:after]
        first = after


def _loss(errors: list[tuple[float, float]], x: Float32, gram: Float64, penalties: Float32) -> Loss:
    observed, squares = (sum(part) for part in zip(*errors, strict=True))
    everywhere = float(np.sum((x @ gram) * x))
    return Loss(observed, squares, everywhere, float(penalties @ np.sum(x.astype(np.float64) ** 2, axis=1)))


# ------------------------------------------------------------------------------------------------------------------ tiles


@dataclass(frozen=True)
class _Tile:
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

    def normal(self) -> Float32:
        """`Y_o.T diag(a) Y_o`: (rows, width, width)."""
        product: Float32 = np.matmul((self.y * self.a[:, :, None]).transpose(0, 2, 1), self.y)
        return product

    def errors(self, scores: Float32) -> tuple[float, float]:
        """The observed part of the objective, and the sum of the squared scores."""
        wrong = self.p - scores
        return float(np.vdot(self.e * wrong, wrong)), float(np.vdot(scores * (self.e > 0), scores))


class _Gather:
    """Cuts tiles from a block; they share one buffer, so that each is valid until the next."""

    def __init__(self, block: Block, others: Float32, objective: Objective) -> None:
        self._block, self._others, self._objective = block, others, objective
        self._buffer = np.empty(0, np.float32)

    def tile(self, first: Int64, count: Int64) -> _Tile:
        """Of rows whose ratings are `count` (rows,) from the places `first` (rows,) on."""
        within = np.arange(count.max())
        real = within < count[:, None]
        places = first[:, None] + within
        y = self._factors(np.take(self._block.indices, places, mode="clip"))
        e, p = self._objective.terms(np.take(self._block.values, places, mode="clip"))
        e *= real
        a = e - np.float32(self._objective.w) * real.astype(np.float32) if self._objective.replaces else e
        if self._objective.biases:
            p -= y[:, :, -1]
            y[:, :, -1] = 1
        return _Tile(y, e, p, a)

    def pieces(self, first: Int64, count: Int64) -> Iterator[_Tile]:
        """The tiles of one row that is too wide for one, one after the other."""
        size = _TILE // self._others.shape[1]
        for place in range(int(first[0]), int(first[0] + count[0]), size):
            yield self.tile(np.array([place]), np.array([min(size, int(first[0] + count[0]) - place)]))

    def _factors(self, ids: Int32) -> Float32:
        shape = (*ids.shape, self._others.shape[1])
        size = shape[0] * shape[1] * shape[2]
        if len(self._buffer) < size:
            self._buffer = np.empty(max(size, _TILE), np.float32)
        # "clip" writes into `out` directly; ids are valid
        return np.take(self._others, ids, axis=0, out=self._buffer[:size].reshape(shape), mode="clip")


# ---------------------------------------------------------------------------------------------------------------- solvers


@dataclass(frozen=True)
class _Shared:
    """What all rows' equations share: `base` = w Y.T Y (width, width), and a guess at the rest of them.

    `vectors` (width, width) are the directions of the mean y y.T over all ratings, `sizes` (width,) how large it is along each,
    and `base_sizes` how large `base` is.
    """

    base: Float32
    vectors: Float32
    sizes: Float32
    base_sizes: Float32

    @classmethod
    def of(cls, grams: Grams, objective: Objective) -> Self:
        sizes, vectors = np.linalg.eigh(grams.rated / max(1, grams.ratings))
        base = objective.w * grams.each
        along = np.einsum("ji,jk,ki->i", vectors, base, vectors)
        return cls(*(array.astype(np.float32) for array in (base, vectors, np.maximum(sizes, 0), along)))


@dataclass(frozen=True)
class _System:
    """What A holds besides the ratings: what is `shared`, and `penalties` (rows,) on its diagonal."""

    shared: _Shared
    penalties: Float32

    def full(self, normal: Floats) -> Float64:
        """A: (rows, width, width) of `Y_o.T diag(a) Y_o`."""
        return _full(normal, self.shared.base, self.penalties)

    def guess(self, mass: Float32) -> "_Guess":
        """A where each row's ratings, of the weight `mass` (rows,) together, are of rows that are rated like all others."""
        sizes = mass[:, None] * self.shared.sizes + self.shared.base_sizes + self.penalties[:, None]
        floor = np.maximum(1e-6 * sizes.max(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        return _Guess(self.shared.vectors, np.maximum(sizes, floor))

    def push(self, x: Float32) -> Float32:
        """`(w Y.T Y + reg I) x`: (rows, width)."""
        return x @ self.shared.base + self.penalties[:, None] * x


@dataclass(frozen=True)
class _Guess:
    """Matrices near A with directions in common: `vectors` (width, width), and each row's `sizes` along them (rows, width)."""

    vectors: Float32
    sizes: Float32

    def solve(self, b: Float32) -> Float32:
        """x (rows, width) of b."""
        along = np.matmul(b, self.vectors)
        along /= self.sizes
        x: Float32 = np.matmul(along, self.vectors.T)
        return x


def _full(normal: Floats, base: Float32, penalties: Float32) -> Float64:
    """`normal + base + reg I` in float64, kept from being singular: (rows, width, width)."""
    a = normal.astype(np.float64) + base
    diagonal = np.einsum("ijj->ij", a)
    least = np.maximum(diagonal.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    diagonal += penalties[:, None] + _JITTER * least
    return a


def _solve(tile: _Tile, system: _System, start: Float32, solver: Solver) -> tuple[Float32, Float32]:
    """x (rows, width) and its scores (rows, d)."""
    if solver.name == "cholesky" or solver.nonnegative:
        x = _exact(system.full(tile.normal()), tile.pull(tile.e * tile.p), solver)
        return x, tile.scores(x)
    if solver.name == "subspace":
        return _subspace(tile, system, start, solver.subspace)
    if solver.name == "exact":
        return _precise(tile, system, start)
    x, scores, _ = _conjugate_gradients(tile, system, start, solver.steps)
    return x, scores


def _solve_wide(pieces: Iterator[_Tile], system: _System, solver: Solver) -> Float32:
    """x (1, width) of a row whose equations are summed up piece by piece, exactly."""
    width = len(system.shared.base)
    normal, right = np.zeros((1, width, width)), np.zeros((1, width))
    for tile in pieces:
        normal += tile.normal()
        right += tile.pull(tile.e * tile.p)
    return _exact(system.full(normal), right, solver)


def _exact(a: Float64, b: Floats, solver: Solver) -> Float32:
    if solver.nonnegative:
        return _nonnegative(a, b)
    x: Float64 = scipy.linalg.solve(a, b[:, :, None].astype(np.float64), assume_a="pos", check_finite=False)
    return x[:, :, 0].astype(np.float32)


def _precise(tile: _Tile, system: _System, start: Float32) -> tuple[Float32, Float32]:
    """Conjugate gradients until all rows are precise, or by Cholesky where many steps are not enough."""
    right = tile.pull(tile.e * tile.p)
    guess = system.guess(tile.a.sum(axis=1))
    enough = _PRECISION**2 * _dots(right, guess.solve(right))
    x, scores, distance = _conjugate_gradients(tile, system, start, _ENOUGH_STEPS, enough)
    rest = np.flatnonzero(~(distance <= enough))
    if len(rest):
        some = _Tile(tile.y[rest], tile.e[rest], tile.p[rest], tile.a[rest])
        x[rest] = _exact(_System(system.shared, system.penalties[rest]).full(some.normal()), right[rest], Solver("cholesky"))
        scores[rest] = some.scores(x[rest])
    return x, scores


def _conjugate_gradients(
    tile: _Tile, system: _System, start: Float32, steps: int, enough: Float32 | float = 0.0
) -> tuple[Float32, Float32, Float32]:
    """A few steps of conjugate gradients from `start`, A never being formed (Takacs, Pilaszy and Tikk 2011).

    They are preconditioned: a row's A is guessed from what an average rating adds to it. Three steps then come as near to the
    answer as six without. They end when all rows' squared distances (rows,) from the answer, by that guess, are `enough`; those
    are returned after x and its scores.
    """
    guess = system.guess(tile.a.sum(axis=1))
    x, scores = start.copy(), tile.scores(start)
    residual = tile.pull(tile.e * tile.p - tile.a * scores) - system.push(x)
    direction = guess.solve(residual)
    square = _dots(residual, direction)
    for _ in range(steps):
        if np.all(square <= enough):
            break
        along = tile.scores(direction)
        curved = tile.pull(tile.a * along) + system.push(direction)
        step = _ratio(square, _dots(direction, curved))
        x += step * direction
        scores += step * along
        residual -= step * curved
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


def _subspace(tile: _Tile, system: _System, start: Float32, size: int) -> tuple[Float32, Float32]:
    """One pass over blocks of `size` factors, each solved exactly for what the others leave (Rendle et al. 2021, section 4)."""
    x, scores, base = start.copy(), tile.scores(start), system.shared.base
    for first in range(0, x.shape[1], size):
        part = slice(first, first + size)
        within = _Tile(tile.y[:, :, part], tile.e, tile.p, tile.a)
        slope = within.pull(tile.e * tile.p - tile.a * scores) - x @ base[:, part] - system.penalties[:, None] * x[:, part]
        step = _exact(_full(within.normal(), base[part, part], system.penalties), slope, Solver("cholesky"))
        x[:, part] += step
        scores += within.scores(step)
    return x, scores


def _nonnegative(a: Float64, b: Floats) -> Float32:
    """argmin x.T A x / 2 - b.x under x >= 0, by cyclic coordinate descent (Franc, Hlavac and Navara 2005): (rows, width)."""
    x, slope = np.zeros_like(b, np.float64), -b.astype(np.float64)
    diagonal = np.einsum("ijj->ij", a)
    for _ in range(_SWEEPS):
        before = x.copy()
        for j in range(x.shape[1]):
            change = np.maximum(x[:, j] - slope[:, j] / diagonal[:, j], 0) - x[:, j]
            x[:, j] += change
            slope += change[:, None] * a[:, j]
        if np.all(np.abs(x - before) <= 1e-7 * np.abs(x).max(axis=1, keepdims=True)):
            break
    return x.astype(np.float32)
