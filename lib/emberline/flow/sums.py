"""Sums over everybody: what tasks have summed up of their parts, added up by the number of their
block.
"""

from functools import partial

from emberline.cf import sums
from emberline.cf.sums import SUMS
from emberline.datasets.rows import Task, through
from emberline.flow.rows import Rows
from emberline.numeric.arrays import Float64


def summed(rows: Rows, task: Task, finish: Task | None = None) -> dict[int, Float64]:
    """By block the sums that a task makes of each part, which are SUMS, and what `finish` makes of
    these once they are complete, in this process.
    """
    partial_sums = rows.map(task, SUMS).together(rows.flow.parts)
    last = sums.add_up if finish is None else partial(through, tasks=(sums.add_up, finish))
    return sums.decoded(partial_sums.map(last, SUMS).table().to_pylist())
