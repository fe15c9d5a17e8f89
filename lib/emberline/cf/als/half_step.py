"""Alternating least squares: the factors of one side from the other side's, many rows at a time.

Letters as in `objective.py`. Each row solves `A x = b` with

    A = w Y.T Y + Y_o.T diag(a) Y_o + reg I    and    b = Y_o.T (e p)

Y_o being the rows of Y that it rated, and a = e, or e - w where the observed pairs are not among
the unobserved (`solvers.py`).
"""

from collections.abc import Iterator

import numpy as np

from emberline.cf.als import compiled, grouping
from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Loss, Objective
from emberline.cf.als.solvers import Solver, solve, solve_wide
from emberline.cf.als.systems import Ratings, Shared, System, Tile
from emberline.cf.blocks import Block
from emberline.numeric.arrays import Float32, Float64, Int32, Int64


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
    start: (m, width), where iterative solvers begin, and what a prior holds rows to.
    """
    degrees, width = np.diff(block.indptr), others.shape[1]
    penalties = objective.penalties(block, grams.rows)
    shared = Shared.of(objective.w * grams.each, grams.mean)
    gather = _Gather(block, others, objective)
    factors = np.empty_like(start)
    loss = Loss.empty()
    compiles = solver.compiled and solver.iterates and compiled.is_here()
    least = width if solver.forms_matrices else 1
    for rows in (
        grouping.neighbouring(block.indptr, width)
        if compiles
        else grouping.alike(degrees, width, least)
    ):
        system = System(shared, penalties[rows])
        first, count = block.indptr[rows], degrees[rows]
        if grouping.is_wide(count[-1], width):
            x = solve_wide(gather.pieces(first, count), system, start[rows], solver)
            parts = [tile.errors(tile.scores(x)) for tile in gather.pieces(first, count)]
        else:
            ratings: Ratings = gather.ratings(rows) if compiles else gather.tile(first, count)
            x, scores = solve(ratings, system, start[rows], solver)
            parts = [ratings.errors(scores)]
        factors[rows] = x
        loss = loss.merge(_loss(parts, x, grams.each, penalties[rows]))
    return factors, loss


def tiles(
    block: Block, others: Float32, objective: Objective
) -> Iterator[tuple[Int64, Int32, Tile]]:
    """A block's rows, a few alike at a time, with the columns (rows, d) of their ratings and their
    tile, which is valid until the next; what pads is of any column.
    """
    degrees, gather = np.diff(block.indptr), _Gather(block, others, objective)
    for rows in grouping.alike(degrees, others.shape[1], others.shape[1]):
        first, count = block.indptr[rows], degrees[rows]
        places = first[:, None] + np.arange(count.max())
        columns = np.take(block.indices, places, mode="clip")
        yield rows, columns, gather.tile(first, count)


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

    def ratings(self, rows: Int64) -> compiled.Ratings:
        """Those of rows next to each other, as they are in the block."""
        indptr = self._block.indptr[rows[0] : rows[-1] + 2]
        places = slice(indptr[0], indptr[-1])
        columns = self._block.indices[places]
        e, p = self._objective.terms(self._block.values[places])
        biased = self._objective.biases
        if biased:
            p = p - self._others[columns, -1]
        a = e - np.float32(self._objective.w) if self._objective.replaces else e
        return compiled.Ratings(indptr - indptr[0], columns, self._others, e, p, a, biased)

    def pieces(self, first: Int64, count: Int64) -> Iterator[Tile]:
        """The tiles of one row that is too wide for one, one after the other."""
        size = grouping.TILE // self._others.shape[1]
        for place in range(int(first[0]), int(first[0] + count[0]), size):
            yield self.tile(
                np.array([place]), np.array([min(size, int(first[0] + count[0]) - place)])
            )

    def _factors(self, ids: Int32) -> Float32:
        shape = (*ids.shape, self._others.shape[1])
        size = shape[0] * shape[1] * shape[2]
        if len(self._buffer) < size:
            self._buffer = np.empty(max(size, grouping.TILE), np.float32)
        # "clip" writes into `out` directly; ids are valid
        return np.take(
            self._others, ids, axis=0, out=self._buffer[:size].reshape(shape), mode="clip"
        )
