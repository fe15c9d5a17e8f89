"""Alternating least squares: the factors of one side from the other side's, many rows at a time.

Letters as in Hu, Koren and Volinsky (2008), seen from a row, which is a user or an item: x are its factors, Y the factors of the
other side, w the weight of what was not observed. Over all pairs of rows x and y, the sum that is made small is

    sum_observed e (p - x.y)^2  +  w sum_unobserved (x.y)^2  +  sum_x reg_x |x|^2  +  sum_y reg_y |y|^2

    feedback                    e                      p                    w                    the count in reg
    explicit                    1                      value                0                    ratings of the row
    implicit                    1 + alpha |value|      1 if value > 0       1                    positive ratings of the row
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

from emberline.cf.blocks import Block, Float32, Int32, Int64

Float64 = npt.NDArray[np.float64]
Floats = npt.NDArray[np.floating[Any]]
SolverName = Literal["cg", "cholesky", "subspace"]

_TILE = 1 << 19  # float32 numbers of Y_o at a time, 2 MiB: they stay in the cache while a tile is solved
_WIDEST = 8  # a row that needs more than so many tiles is summed up piece by piece
_PADDING = 1.15
_CHUNK = 1 << 14  # rows that are in float64 or uint64 at a time
_JITTER = 1e-6  # share of A's mean diagonal that is added to it where it might be singular
_SWEEPS = 200


@dataclass(frozen=True)
class Objective:
    """What is made small, as in the table above; `mean` is taken off explicit values where there are biases."""

    implicit: bool
    reg_param: float
    reg_exponent: float = 1.0
    alpha: float = 1.0
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
        return 1 + np.float32(self.alpha) * np.abs(values), preferences

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

    ratings: int
    observed: float
    squares: float
    everywhere: float
    penalty: float

    @classmethod
    def empty(cls) -> Self:
        return cls(0, 0.0, 0.0, 0.0, 0.0)

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.ratings + other.ratings,
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
    `nonnegative` is exact under x >= 0, whatever the name says.
    """

    name: SolverName = "cg"
    steps: int = 3
    subspace: int = 32
    nonnegative: bool = False


EXACT = Solver("cholesky")


def gramian(factors: Float32) -> Float64:
    """`Y.T @ Y`: (rank, rank) of factors (n, rank), products in float64."""
    total = np.zeros((factors.shape[1],) * 2)
    for first in range(0, len(factors), _CHUNK):
        exact = factors[first : first + _CHUNK].astype(np.float64)
        total += exact.T @ exact
    return total


def initial_factors(ids: Int32, rank: int, seed: int, nonnegative: bool = False) -> Float32:
    """(n, rank): random directions that depend on the seed and each id alone, by splitmix64 (Steele, Lea and Flood 2014)."""
    factors = np.empty((len(ids), rank), np.float32)
    for first in range(0, len(ids), _CHUNK):
        factors[first : first + _CHUNK] = _directions(ids[first : first + _CHUNK], rank, seed, nonnegative)
    return factors


def _directions(ids: Int32, rank: int, seed: int, nonnegative: bool) -> Float32:
    numbers = (ids.astype(np.int64)[:, None] * rank + np.arange(rank)).astype(np.uint64)
    state = _mix(numbers + _mix(np.full(1, seed, np.uint64)))
    uniform = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    vectors = uniform if nonnegative else 2 * uniform - 1
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Float32 = vectors / np.maximum(lengths, np.float32(1e-12))
    return directions


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    state = (state + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))


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


def half_step(
    block: Block, others: Float32, gram: Float64, penalties: Float32, start: Float32, objective: Objective, solver: Solver
) -> tuple[Float32, Loss]:
    """New factors (m, width) of a block's rows, and what they add to the objective.

    block: m rows of ratings, none of them empty, whose columns are rows of `others` (n, width); gram: (width, width) of all rated
    rows of the other side; penalties: (m,) by `Objective.penalties`; start: (m, width), where iterative solvers begin.
    """
    degrees = np.diff(block.indptr)
    gather, base = _Gather(block, others, objective), (objective.w * gram).astype(np.float32)
    factors = np.empty_like(start)
    loss = Loss.empty()
    for rows in _alike(degrees, others.shape[1]):
        system = _System(base, penalties[rows])
        first, count = block.indptr[rows], degrees[rows]
        if count[-1] * others.shape[1] <= _WIDEST * _TILE:
            tiles = [gather.tile(first, count)]
            factors[rows], scores = _solve(tiles[0], system, start[rows], solver)
            parts = [tiles[0].errors(scores)]
        else:
            factors[rows] = _solve_wide(gather.pieces(first, count), system, solver)
            parts = [tile.errors(tile.scores(factors[rows])) for tile in gather.pieces(first, count)]
        loss = loss.merge(_loss(int(count.sum()), parts, factors[rows], gram, penalties[rows]))
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


def _loss(ratings: int, errors: list[tuple[float, float]], x: Float32, gram: Float64, penalties: Float32) -> Loss:
    observed, squares = (sum(part) for part in zip(*errors, strict=True))
    everywhere = float(np.sum((x @ gram) * x))
    return Loss(ratings, observed, squares, everywhere, float(penalties @ np.sum(x.astype(np.float64) ** 2, axis=1)))


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
        places = np.minimum(first[:, None] + within, len(self._block.indices) - 1)
        y = self._factors(self._block.indices[places])
        e, p = self._objective.terms(self._block.values[places])
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
class _System:
    """What A holds besides the ratings: `base` = w Y.T Y (width, width), and `penalties` (rows,) on its diagonal."""

    base: Float32
    penalties: Float32

    def add_to(self, normal: Floats) -> Float64:
        """A: (rows, width, width) in float64, of `Y_o.T diag(a) Y_o`; kept from being singular."""
        a = normal.astype(np.float64) + self.base
        diagonal = np.einsum("ijj->ij", a)
        diagonal += self.penalties[:, None] + _JITTER * np.maximum(
            diagonal.mean(axis=1, keepdims=True), np.finfo(np.float32).tiny
        )
        return a

    def push(self, x: Float32) -> Float32:
        """`(w Y.T Y + reg I) x`: (rows, width)."""
        return x @ self.base + self.penalties[:, None] * x


def _solve(tile: _Tile, system: _System, start: Float32, solver: Solver) -> tuple[Float32, Float32]:
    """x (rows, width) and its scores (rows, d)."""
    if solver.name == "cholesky" or solver.nonnegative:
        x = _exact(system.add_to(tile.normal()), tile.pull(tile.e * tile.p), solver)
        return x, tile.scores(x)
    if solver.name == "subspace":
        return _subspace(tile, system, start, solver.subspace)
    return _conjugate_gradients(tile, system, start, solver.steps)


def _solve_wide(pieces: Iterator[_Tile], system: _System, solver: Solver) -> Float32:
    """x (1, width) of a row whose equations are summed up piece by piece, exactly."""
    width = len(system.base)
    normal, right = np.zeros((1, width, width)), np.zeros((1, width))
    for tile in pieces:
        normal += tile.normal()
        right += tile.pull(tile.e * tile.p)
    return _exact(system.add_to(normal), right, solver)


def _exact(a: Float64, b: Floats, solver: Solver) -> Float32:
    if solver.nonnegative:
        return _nonnegative(a, b)
    x: Float64 = scipy.linalg.solve(a, b[:, :, None].astype(np.float64), assume_a="pos", check_finite=False)
    return x[:, :, 0].astype(np.float32)


def _conjugate_gradients(tile: _Tile, system: _System, start: Float32, steps: int) -> tuple[Float32, Float32]:
    """A few steps of conjugate gradients from `start`, A never being formed (Takacs, Pilaszy and Tikk 2011)."""
    x, scores = start.copy(), tile.scores(start)
    residual = tile.pull(tile.e * tile.p - tile.a * scores) - system.push(x)
    direction, square = residual.copy(), _squared(residual)
    for _ in range(steps):
        along = tile.scores(direction)
        curved = tile.pull(tile.a * along) + system.push(direction)
        step = _ratio(square, np.einsum("ij,ij->i", direction, curved))
        x += step * direction
        scores += step * along
        residual -= step * curved
        before, square = square, _squared(residual)
        direction *= _ratio(square, before)
        direction += residual
    return x, scores


def _squared(rows: Float32) -> Float32:
    squares: Float32 = np.einsum("ij,ij->i", rows, rows)
    return squares


def _ratio(above: Float32, below: Float32) -> Float32:
    """(rows, 1); 0 where a row is solved already."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)[:, None]


def _subspace(tile: _Tile, system: _System, start: Float32, size: int) -> tuple[Float32, Float32]:
    """One pass over blocks of `size` factors, each solved exactly for what the others leave (Rendle et al. 2021, section 4)."""
    x, scores = start.copy(), tile.scores(start)
    for first in range(0, x.shape[1], size):
        part = slice(first, first + size)
        within = _Tile(tile.y[:, :, part], tile.e, tile.p, tile.a)
        slope = within.pull(tile.e * tile.p - tile.a * scores) - x @ system.base[:, part] - system.penalties[:, None] * x[:, part]
        hessian = _System(system.base[part, part], system.penalties).add_to(within.normal())
        step = _exact(hessian, slope, EXACT)
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
