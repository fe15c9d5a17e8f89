"""Alternating least squares: the factors of one side from the other side's, many rows at a time.

Letters as in Hu, Koren and Volinsky (2008), seen from a row, which is a user or an item: x are its
factors, Y the factors of the other side, w the weight of what was not observed. Over all pairs of
rows x and y, the sum that is made small is

    sum_observed e (p - x.y)^2  +  w sum_unobserved (x.y)^2  +  sum_x reg_x |x|^2  +  sum_y reg_y |y|^2

    feedback                    e                      p                    w                    the count in reg
    explicit                    1                      value                0                    ratings of the row
    implicit                    1 + alpha |value|      1 if value > 0       1                    positive ratings of the row
    with confidence "log"       1 + alpha log(1 + |value|)                                       (Hu et al., equation 6)
    with confidence "exp"       1 + alpha exp(z), z = (value - mean) / deviation, within 4 of 0  (for ratings)
    with unobserved_weight      1                      else 0               unobserved_weight    ratings + w * rated rows
                                                                                                 of the other side
    reg = reg_param * count ** reg_exponent

The first line is ALS-WR (Zhou et al. 2008), the second equation 3 of Hu et al., both regularised as
MLlib does at exponent 1. The third is iALS of Rendle et al. (2021), whose second sum goes over all
pairs, the observed ones included. With biases, which only explicit feedback has, a row's last
factor is its bias and x.y means `x'.y' + bias_x + bias_y + mean`.

Each row then solves `A x = b` with `A = w Y.T Y + Y_o.T diag(a) Y_o + reg I` and `b = Y_o.T (e p)`,
Y_o being the rows of Y that it rated, and a = e, or e - w where the observed pairs are not among
the unobserved (`solvers.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np

from emberline.cf.als.solvers import Shared, Solver, System, Tile, solve, solve_wide
from emberline.cf.blocks import Block
from emberline.numeric import hashing
from emberline.numeric.arrays import Float32, Float64, Int32, Int64

# float32 numbers of Y_o at a time, 4 MiB: they stay in the cache while a tile is solved
_TILE = 1 << 20
_WIDEST = 8  # a row that needs more than so many tiles is summed up piece by piece
_PADDING = 1.15
# standard deviations from the mean: a value beyond is no rating of a scale
_FARTHEST = np.float32(4)
_CHUNK = 1 << 14  # rows that are in float64 or uint64 at a time


@dataclass(frozen=True)
class Objective:
    """What is made small, as in the table above.

    `mean` and `deviation` are those of all values: the mean is taken off explicit ones where there
    are biases, and both say what a rating is worth to the confidence "exp".
    """

    implicit: bool
    reg_param: float
    reg_exponent: float = 1.0
    alpha: float = 1.0
    confidence: Literal["linear", "log", "exp"] = "linear"
    unobserved_weight: float | None = None
    biases: bool = False
    mean: float = 0.0
    deviation: float = 1.0

    @property
    def w(self) -> float:
        """The weight of a pair that was not observed."""
        if not self.implicit:
            return 0.0
        return 1.0 if self.unobserved_weight is None else self.unobserved_weight

    @property
    def replaces(self) -> bool:
        """Whether an observed pair's term takes the place of its unobserved one (Hu et al.), or
        is added (Rendle et al.).
        """
        return self.unobserved_weight is None

    def width(self, rank: int) -> int:
        """How many numbers a row's factors are."""
        return rank + self.biases

    def terms(self, values: Float32) -> tuple[Float32, Float32]:
        """The weights e and preferences p of observed values, in their shape."""
        if not self.implicit:
            return np.ones_like(values), values - np.float32(self.mean if self.biases else 0)
        preferences = (values > 0).astype(np.float32)
        if self.unobserved_weight is not None:
            return np.ones_like(values), preferences
        return 1 + np.float32(self.alpha) * self._strengths(values), preferences

    def _strengths(self, values: Float32) -> Float32:
        if self.confidence == "exp":
            above = (values - np.float32(self.mean)) / np.float32(self.deviation)
            rising: Float32 = np.exp(np.clip(above, -_FARTHEST, _FARTHEST))
            return rising
        return np.log1p(np.abs(values)) if self.confidence == "log" else np.abs(values)

    def penalties(self, block: Block, num_others: int) -> Float32:
        """reg of each row (m,) of a sparse block, when the other side has `num_others` rated
        rows.
        """
        counts = np.diff(block.indptr).astype(np.float64)
        if self.unobserved_weight is not None:
            counts += self.w * num_others
        elif self.implicit:
            counts = np.add.reduceat(block.values > 0, block.indptr[:-1]).astype(np.float64)
        return (self.reg_param * counts**self.reg_exponent).astype(np.float32)


@dataclass(frozen=True)
class Loss:
    """The objective's parts over some rows: `squares` is the sum of (x.y)^2 over the observed
    pairs, `everywhere` over all.
    """

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
        factors[first : first + _CHUNK] = _directions(
            ids[first : first + _CHUNK], rank, seed, nonnegative
        )
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
    """Factors (m, width) of users or items, with biases written so that the dot product of both
    sides' is the prediction.

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
    """Sums over a side's rated rows: `each` of y y.T, (width, width), and `rated`, where a row
    counts as often as it is rated.

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

    @property
    def mean(self) -> Float64:
        """The mean y y.T over all ratings."""
        return self.rated / max(1, self.ratings)

    def merge(self, other: Self) -> Self:
        return type(self)(
            self.each + other.each,
            self.rated + other.rated,
            self.rows + other.rows,
            self.ratings + other.ratings,
        )


def half_step(
    block: Block,
    others: Float32,
    grams: Grams,
    start: Float32,
    objective: Objective,
    solver: Solver,
) -> tuple[Float32, Loss]:
    """New factors (m, width) of a block's rows, and what they add to the objective.

    block: m rows of ratings, none of them empty, whose columns are rows of `others` (n, width);
    grams: of the whole other side;
    start: (m, width), where iterative solvers begin.
    """
    degrees = np.diff(block.indptr)
    penalties = objective.penalties(block, grams.rows)
    gather, shared = (
        _Gather(block, others, objective),
        Shared.of(objective.w * grams.each, grams.mean),
    )
    factors = np.empty_like(start)
    loss = Loss.empty()
    for rows in _alike(degrees, others.shape[1], others.shape[1] if solver.forms_matrices else 1):
        system = System(shared, penalties[rows])
        first, count = block.indptr[rows], degrees[rows]
        if count[-1] * others.shape[1] <= _WIDEST * _TILE:
            tiles = [gather.tile(first, count)]
            factors[rows], scores = solve(tiles[0], system, start[rows], solver)
            parts = [tiles[0].errors(scores)]
        else:
            factors[rows] = solve_wide(gather.pieces(first, count), system, solver)
            parts = [
                tile.errors(tile.scores(factors[rows])) for tile in gather.pieces(first, count)
            ]
        loss = loss.merge(_loss(parts, factors[rows], grams.each, penalties[rows]))
    return factors, loss


def _alike(degrees: Int64, width: int, least: int) -> Iterator[Int64]:
    """Positions of rows that are solved together: of almost the same degree, ascending, and few
    enough for the cache.

    Each takes `width` times its degree there, or times `least`.
    """
    order = np.argsort(degrees, kind="stable")
    ascending = degrees[order]
    first = 0
    while first < len(order):
        alike = int(np.searchsorted(ascending, ascending[first] * _PADDING, side="right"))
        after = min(alike, first + max(1, _TILE // (max(int(ascending[alike - 1]), least) * width)))
        yield order[first:after]
        first = after


def _loss(errors: list[tuple[float, float]], x: Float32, gram: Float64, penalties: Float32) -> Loss:
    observed, squares = (sum(part) for part in zip(*errors, strict=True))
    everywhere = float(np.sum((x @ gram) * x))
    return Loss(
        observed, squares, everywhere, float(penalties @ np.sum(x.astype(np.float64) ** 2, axis=1))
    )


class _Gather:
    """Cuts tiles from a block; they share one buffer, so that each is valid until the next."""

    def __init__(self, block: Block, others: Float32, objective: Objective) -> None:
        self._block, self._others, self._objective = block, others, objective
        self._buffer = np.empty(0, np.float32)

    def tile(self, first: Int64, count: Int64) -> Tile:
        """Of rows whose ratings are `count` (rows,) from the places `first` (rows,) on."""
        within = np.arange(count.max())
        real = within < count[:, None]
        places = first[:, None] + within
        y = self._factors(np.take(self._block.indices, places, mode="clip"))
        e, p = self._objective.terms(np.take(self._block.values, places, mode="clip"))
        e *= real
        a = (
            e - np.float32(self._objective.w) * real.astype(np.float32)
            if self._objective.replaces
            else e
        )
        if self._objective.biases:
            p -= y[:, :, -1]
            y[:, :, -1] = 1
        return Tile(y, e, p, a)

    def pieces(self, first: Int64, count: Int64) -> Iterator[Tile]:
        """The tiles of one row that is too wide for one, one after the other."""
        size = _TILE // self._others.shape[1]
        for place in range(int(first[0]), int(first[0] + count[0]), size):
            yield self.tile(
                np.array([place]), np.array([min(size, int(first[0] + count[0]) - place)])
            )

    def _factors(self, ids: Int32) -> Float32:
        shape = (*ids.shape, self._others.shape[1])
        size = shape[0] * shape[1] * shape[2]
        if len(self._buffer) < size:
            self._buffer = np.empty(max(size, _TILE), np.float32)
        # "clip" writes into `out` directly; ids are valid
        return np.take(
            self._others, ids, axis=0, out=self._buffer[:size].reshape(shape), mode="clip"
        )
