"""Somebody who comes after a fit, folded in: their factors, while the other side's stay."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np

from emberline.cf.als import factors as published_factors
from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import tiles
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import solve_exactly
from emberline.cf.blocks import Block
from emberline.numeric.arrays import Float32


@dataclass(frozen=True)
class Fixed:
    """What of the items' factors all people's share: sums over them, and what was made small."""

    grams: Grams
    objective: Objective
    nonnegative: bool

    @classmethod
    def of(cls, published: Iterable[Float32], objective: Objective, nonnegative: bool) -> Self:
        """Of the factors (m, rank) of all rated items, as tables have them, some at a time."""
        inside = (published_factors.unpublished(some, "item", objective) for some in published)
        grams = reduce(Grams.merge, (Grams.of(y, np.ones(len(y), np.int64)) for y in inside))
        return cls(grams, objective, nonnegative)

    def inside(self, published: Float32) -> Float32:
        """Items' factors (m, rank), as tables have them, as a fit has them: (m, width)."""
        return published_factors.unpublished(published, "item", self.objective)

    def fold_in(self, block: Block, others: Float32) -> Float32:
        """The factors (m, rank), as tables have them, of users with these ratings, whose columns
        are rows of `others` (n, width), items' factors inside a fit: the exact answer to them, as
        the last half-step of a fit has it.
        """
        found = np.empty((len(block.ids), others.shape[1]), np.float32)
        base = self.objective.w * self.grams.each
        penalties = self.objective.penalties(block, self.grams.rows)
        for rows, _, tile in tiles(block, others, self.objective):
            found[rows] = solve_exactly(tile, base, penalties[rows], self.nonnegative)
        return published_factors.published(found, "user", self.objective)
