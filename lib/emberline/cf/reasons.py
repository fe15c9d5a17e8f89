"""Why an item is recommended: what each past event contributes to its score, and how much less the
score would be without it.

Letters as in `als/objective.py`: the user's factors, solved exactly from the items', are x = A^-1 b
with A = w Y.T Y + Y_o.T diag(a) Y_o + reg I and b = Y_o.T t, t = e p. An item with factors y_i has
the score s_i = y_i.x. With g = y_i.A^-1 y_j, h = y_j.A^-1 y_j and s_j = y_j.x of the event j:

    contribution    t_j g                             which add up to s_i over all events
                                                      (Hu, Koren and Volinsky 2008, section 5)
    drop            g (t_j - a_j s_j) / (1 - a_j h)   were the event not there, the items as they
                                                      are (the formula of Sherman and Morrison)

For implicit feedback of weight 1 + c these are (1 + c) g and g (1 + c (1 - s_j)) / (1 - c h). Where
reg depends on how many ratings a user has, A loses a multiple d of I besides, for which
x' = A'^-1 (b' + d x') is iterated. What the user's factors are in the table may differ from x: ALS
ends before it has converged.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import tiles
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import Tile
from emberline.cf.blocks import Block
from emberline.cf.entries import Arrays
from emberline.numeric.arrays import Bool, Float32, Float64, Int32, Int64
from emberline.numeric.groups import place_among

_CLOSE = 1e-7  # of the largest factor: the iteration has ended
_ROUNDS = 200


@dataclass(frozen=True)
class Reasons(Arrays):
    """Whose list, which item, the past one, what it contributes, and what the score would drop by:
    each (n,), the strongest of each (user, item) first.
    """

    users: Int32
    items: Int32
    past: Int32
    contributions: Float32
    drops: Float32

    @classmethod
    def none(cls) -> Self:
        ids, numbers = np.empty(0, np.int32), np.empty(0, np.float32)
        return cls(ids, ids, ids, numbers, numbers)


@dataclass(frozen=True)
class Targets:
    """The items (m, k) of each row of a block that are to be explained, -1 where there are fewer,
    and their factors (m, k, width).
    """

    items: Int32
    factors: Float32


@dataclass(frozen=True)
class Solved:
    """Some users' equations, solved: `inverse` is A^-1 (rows, width, width), `right` is b and `x`
    the factors (rows, width); of their events (rows, d) the products with A^-1 `turned` (rows, d,
    width), the weights `t` and `a`, the scores `s`, and `h`.
    """

    inverse: Float64
    right: Float64
    x: Float64
    turned: Float64
    t: Float64
    a: Float64
    s: Float64
    h: Float64

    @classmethod
    def of(cls, tile: Tile, base: Float64, penalties: Float32) -> Self:
        y, a = tile.y.astype(np.float64), tile.a.astype(np.float64)
        t = tile.e.astype(np.float64) * tile.p
        matrix = base + np.matmul((y * a[:, :, None]).transpose(0, 2, 1), y)
        diagonal = np.arange(base.shape[0])
        matrix[:, diagonal, diagonal] += penalties[:, None]
        inverse = np.linalg.inv(matrix)
        right = np.matmul(t[:, None, :], y)[:, 0, :]
        x = np.matmul(inverse, right[:, :, None])[:, :, 0]
        turned = np.matmul(y, inverse)
        s = np.matmul(y, x[:, :, None])[:, :, 0]
        return cls(inverse, right, x, turned, t, a, s, np.einsum("rdw,rdw->rd", turned, y))

    def without(self, tile: Tile, events: Int64, less: Float64) -> Float64:
        """The factors (rows, q, width) if each of some events (rows, q) were not there, A losing
        `less` (rows, q) times I besides.
        """
        pick = events[:, :, None]
        y, v = (np.take_along_axis(of, pick, 1).astype(np.float64) for of in (tile.y, self.turned))
        t, a, h = (np.take_along_axis(of, events, 1) for of in (self.t, self.a, self.h))
        right = self.right[:, None, :] - t[:, :, None] * y
        share = (a / (1 - a * h))[:, :, None] * v
        x = np.zeros_like(right)
        for _ in range(_ROUNDS):
            pushed = right + less[:, :, None] * x
            along = np.einsum("rqw,rqw->rq", v, pushed)[:, :, None]
            new = np.matmul(pushed, self.inverse) + along * share
            change = np.abs(new - x).max(initial=0.0)
            x = new
            if change <= _CLOSE * np.abs(x).max(initial=0.0) or not less.any():
                break
        return x


def of_events(
    block: Block,
    others: Float32,
    grams: Grams,
    objective: Objective,
    targets: Targets,
    may_be_told: Bool,
    top: int,
) -> Reasons:
    """For each target of each row the `top` events of the largest drops, above 0, of those items
    that may be told (n,).

    block: m users' ratings, whose columns are rows of `others` (n, width), the items' factors;
    grams: of all of these.
    """
    base, penalties = objective.w * grams.each, objective.penalties(block, grams.rows)
    found = [Reasons.none()]
    for rows, columns, tile in tiles(block, others, objective):
        solved = Solved.of(tile, base, penalties[rows])
        told = may_be_told[columns] & (tile.e > 0)
        less = _less(objective, block, rows, grams.rows, tile)
        some = Targets(targets.items[rows], targets.factors[rows])
        found.append(_of_tile(block.ids[rows], columns, tile, solved, some, told, less, top))
    return Reasons.joined(found)


def _less(objective: Objective, block: Block, rows: Int64, num_others: int, tile: Tile) -> Float64:
    """By how much reg is less without each event: (rows, d)."""
    counts = np.diff(block.indptr)[rows].astype(np.float64)
    if objective.unobserved_weight is not None:
        counts += objective.w * num_others
        counted = tile.e > 0
    else:
        counted = (tile.p > 0) & (tile.e > 0) if objective.implicit else tile.e > 0
        counts = counted.sum(axis=1).astype(np.float64)
    before, after = (
        objective.reg_param * np.maximum(count, 0.0) ** objective.reg_exponent
        for count in (counts, counts - 1)
    )
    return counted * (before - after)[:, None]


def _of_tile(
    users: Int32,
    columns: Int32,
    tile: Tile,
    solved: Solved,
    targets: Targets,
    told: Bool,
    less: Float64,
    top: int,
) -> Reasons:
    factors = targets.factors.astype(np.float64)
    g = np.matmul(solved.turned, factors.transpose(0, 2, 1))  # (rows, d, k)
    change = (solved.t - solved.a * solved.s) / (1 - solved.a * solved.h)
    drops = np.where(told[:, :, None], change[:, :, None] * g, -np.inf)
    best = np.argsort(-drops, axis=1, kind="stable")[:, :top]  # (rows, top, k)
    events, places = _distinct(best)
    scores = np.matmul(factors, solved.x[:, :, None])  # (rows, k, 1)
    left = np.matmul(
        solved.without(tile, events, np.take_along_axis(less, events, 1)),
        factors.transpose(0, 2, 1),
    )
    exact = np.take_along_axis(scores.transpose(0, 2, 1) - left, places, 1)  # (rows, top, k)
    contributions = np.take_along_axis(solved.t[:, :, None] * g, best, 1)
    is_reason = (
        (np.take_along_axis(drops, best, 1) > 0) & (exact > 0) & (targets.items >= 0)[:, None, :]
    )
    row, place, target = np.nonzero(is_reason)
    reasons = Reasons(
        users[row],
        targets.items[row, target],
        columns[row, best[row, place, target]],
        contributions[row, place, target].astype(np.float32),
        exact[row, place, target].astype(np.float32),
    )
    return strongest(reasons, top)


def _distinct(best: Int64) -> tuple[Int64, Int64]:
    """Each row's events (rows, q) once, and where among them those of `best` (rows, top, k) are."""
    flat = best.reshape(len(best), -1)
    order = np.argsort(flat, axis=1, kind="stable")
    ordered = np.take_along_axis(flat, order, 1)
    is_new = np.ones(ordered.shape, bool)
    is_new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    number = np.cumsum(is_new, axis=1) - 1
    events = np.repeat(ordered[:, :1], number.max(initial=0) + 1, axis=1)
    np.put_along_axis(events, number, ordered, 1)
    places = np.empty_like(flat)
    np.put_along_axis(places, order, number, 1)
    return events, places.reshape(best.shape)


def of_neighbors(
    users: Int32,
    items: Int32,
    history: sp.csr_array,
    similarities: sp.csr_array,
    may_be_told: Bool,
    top: int,
) -> Reasons:
    """For each (user, item) (n,) the past items whose similarity, times what they were rated, is
    the largest part of the score, which is their sum: without one, it drops by that part.

    history: (users, n), similarities: (items, n).
    """
    parts = sp.csr_array(similarities[items].multiply(history[users]))
    row = np.repeat(np.arange(len(items)), np.diff(parts.indptr))
    told = may_be_told[parts.indices] & (parts.data > 0)
    row, past, part = row[told], parts.indices[told], parts.data[told].astype(np.float32)
    reasons = Reasons(users[row], items[row], past.astype(np.int32), part, part)
    return strongest(reasons, top)


def strongest(reasons: Reasons, top: int) -> Reasons:
    """The `top` of each (user, item), of the largest drops, ties by the smaller past item."""
    order = np.lexsort((reasons.past, -reasons.drops, reasons.items, reasons.users))
    ordered = reasons.take(order)
    return ordered.take(place_among(ordered.users, ordered.items) < top)
