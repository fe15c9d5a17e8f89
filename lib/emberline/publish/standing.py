"""How two measured values of a metric stand to each other: one is better, or nothing is decided.

This is the one rule for all who compare: the console, the gates and the report.
"""

import math
from typing import Literal

from emberline.datasets.measures import Measured

Standing = Literal["better", "undecided", "worse"]
LOWER_IS_BETTER = {"rmse", "mae"}
_APART = 2.0  # standard errors of a difference, above which two values are told apart


def standing(row: Measured, other: Measured) -> Standing:
    """Whether a row's value is better than another one's of its metric, by more than two standard
    errors of their difference. Without errors, nothing is decided.
    """
    least = margin(row, other)
    difference = (row.value - other.value) * (-1 if row.metric in LOWER_IS_BETTER else 1)
    if least is None or abs(difference) <= least:
        return "undecided"
    return "better" if difference > 0 else "worse"


def margin(row: Measured, other: Measured) -> float | None:
    """The difference up to which two values are not told apart, None where an error is not known.

    The errors are added as if the two were measured on different people, which is cautious.
    """
    first, second = (one.standard_error for one in (row, other))
    return None if first is None or second is None else _APART * math.hypot(first, second)
