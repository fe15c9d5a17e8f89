"""Work dealt to parts that cost about the same each."""

import math

import numpy as np

from emberline.flow.rows import TASKS_PER_CORE
from emberline.numeric.arrays import Float64, Int32

_PART_COST = 128 << 20  # bytes of encoded pictures or of compressed rows, for some seconds of work


def parts_of(costs: Float64, cores: int) -> tuple[int, Int32]:
    """How many parts there are, and to which each piece of work (n,) goes, in their order: a few
    parts for every core, and more where one would cost too much.

    costs: bytes, or what takes as long to read as so many.
    """
    waves = TASKS_PER_CORE * cores
    parts = max(min(waves, len(costs)), math.ceil(costs.sum() / _PART_COST), 1)
    middle = np.cumsum(costs) - costs / 2
    number: Int32 = (middle / max(costs.sum(), 1) * parts).astype(np.int32)
    return parts, number
