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
reg depends on how many ratings a user has, A loses d I besides: with A' = A - d I, and g', h', s'
and x' of it, the drop is g' (t_j - a_j s'_j) / (1 - a_j h') - d y_i.A^-1 x', exactly. What the
user's factors are in the table may differ from x: ALS ends before it has converged.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp

from emberline.cf.als.half_step import tiles
from emberline.cf.als.systems import Tile
from emberline.cf.blocks import Block
from emberline.cf.entries import Arrays
from emberline.cf.equations import Apart, Common
from emberline.numeric.arrays import Bool, Float32, Float64, Int32, Int64
from emberline.numeric.groups import place_among


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


def of_events(
    block: Block, common: Common, targets: Targets, may_be_told: Bool, top: int
) -> Reasons:
    """For each target of each row the `top` events of the largest drops, above 0, of those items
    that may be told (n,).

    block: m users' ratings, whose columns are rows of the items' factors in `common`.
    """
    penalties = common.objective.penalties(block, common.rows)
    found = [Reasons.none()]
    for rows, columns, tile in tiles(block, common.items, common.objective):
        less, counted = _less(common, block, rows, tile)
        factors = targets.factors[rows]
        apart = Apart.of(tile, columns, factors, common, penalties[rows], less, counted)
        told = may_be_told[columns] & (tile.e > 0)
        found.append(_strongest_of(block.ids[rows], targets.items[rows], columns, told, apart, top))
    return Reasons.joined(found)


def _less(common: Common, block: Block, rows: Int64, tile: Tile) -> tuple[Float64, Bool]:
    """By how much reg is less without an event (rows,), and which events are counted (rows, d).

    Without its only one a user has no factors, whatever reg is.
    """
    objective = common.objective
    counts = np.diff(block.indptr)[rows].astype(np.float64)
    counted = tile.e > 0
    if objective.unobserved_weight is not None:
        counts += objective.w * common.rows
    elif objective.implicit:
        counted &= tile.p > 0
        counts = counted.sum(axis=1).astype(np.float64)
    before, after = (
        objective.reg_param * np.maximum(count, 0.0) ** objective.reg_exponent
        for count in (counts, counts - 1)
    )
    return np.where(counts > 1, before - after, 0.0), counted


def _strongest_of(
    users: Int32, items: Int32, columns: Int32, told: Bool, apart: Apart, top: int
) -> Reasons:
    """Of the items (rows, k) of users (rows,), whose events are of `columns` (rows, d)."""
    drops = apart.drops
    np.copyto(drops, -np.inf, where=~told[:, None, :])
    rows, count, events = drops.shape
    flat, starts, best, largest = drops.reshape(-1), np.arange(rows * count) * events, [], []
    for _ in range(min(top, events)):
        best.append(flat.reshape(-1, events).argmax(axis=1))
        largest.append(flat[starts + best[-1]])
        flat[starts + best[-1]] = -np.inf
    event, drop = (np.stack(each, 1).reshape(rows, count, -1) for each in (best, largest))
    row, item, place = np.nonzero((drop > 0) & (items >= 0)[:, :, None])
    event = event[row, item, place]
    return Reasons(
        users[row],
        items[row, item],
        columns[row, event],
        apart.contributions(row, item, event).astype(np.float32, copy=False),
        drop[row, item, place].astype(np.float32, copy=False),
    )


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
