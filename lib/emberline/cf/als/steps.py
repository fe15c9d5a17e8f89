"""Half-steps over packed blocks, where every worker has all factors of the other side."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.als import half_step
from emberline.cf.als.factor_rows import SOLVED, factors_row
from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import rated_blocks
from emberline.cf.als.solvers import Solver
from emberline.cf.blocks import Block, decode
from emberline.numeric.arrays import Float32
from emberline.numeric.shared import Shared


@dataclass(frozen=True)
class Step:
    """What a half-step is, whichever way the others' factors come; `grams` are the other side's."""

    objective: Objective
    solver: Solver
    grams: Grams

    @property
    def width(self) -> int:
        """How many numbers a row's factors are."""
        return len(self.grams.each)

    def solve(self, number: int, block: Block, others: Float32, start: Float32) -> dict[str, Any]:
        """One block's row of SOLVED."""
        factors, loss = half_step.half_step(
            block, others, self.grams, start, self.objective, self.solver
        )
        return {**factors_row(number, block.ids, np.diff(block.indptr), factors), **asdict(loss)}


def solve_shared(
    batches: Iterator[pa.RecordBatch], others: Shared, own: Shared, step: Step
) -> Iterator[pa.RecordBatch]:
    """One side's columns of PACKED, without its prefix, to SOLVED; others and own: (ids,
    width), all factors of either side.
    """
    for row in rated_blocks(batches):
        block = decode(row)
        solved = step.solve(row["block"], block, others.value, own.value[block.ids])
        yield pa.RecordBatch.from_pylist([solved], schema=SOLVED)
