"""How two measured values of a metric stand to each other: one is better, or nothing is decided.

This is the one rule for all who compare: the console, the gates and the report.
"""

import math
from typing import Literal

from emberline.cf.metrics import direction_of
from emberline.datasets.measures import Compared, Measured, Report

Standing = Literal["better", "undecided", "worse"]
_APART = 2.0  # standard errors of a difference, above which two values are told apart
_SIGNIFICANT = 0.05  # p-values of a family of comparisons, below which a difference counts
_LEAST_P = 0.005  # below which nobody needs to know how small


def standing(row: Measured, other: Measured, report: Report | None = None) -> Standing:
    """Whether a row's value is better than another one's of its metric.

    Where the report has compared the two on the same users, its p-value decides, which holds for
    all of its comparisons together, and its interval, which must not have 0 in it; else, two
    standard errors of their difference do. Without any of these, nothing is decided.
    """
    if direction_of(row.metric) == "neither":
        return "undecided"
    paired = report and comparison(report, row, other)
    if paired:
        return standing_of(paired)
    least, difference = margin(row, other), row.value - other.value
    if least is None or abs(difference) <= least:
        return "undecided"
    return "better" if (difference > 0) == (direction_of(row.metric) == "higher") else "worse"


def standing_of(compared: Compared) -> Standing:
    """Whether the first of two models that were compared on the same users is better."""
    if not is_apart(compared):
        return "undecided"
    is_higher = compared.difference > 0
    return "better" if is_higher == (direction_of(compared.metric) == "higher") else "worse"


def is_apart(compared: Compared) -> bool:
    """Whether two models that were compared on the same users are told apart."""
    if compared.interval is None or compared.adjusted >= _SIGNIFICANT:
        return False
    low, high = compared.interval
    return low > 0 or high < 0


def comparison(report: Report, row: Measured, other: Measured) -> Compared | None:
    """A row beside another one, as the report has compared them; turned round where it has it the
    other way.
    """
    for found in report.comparisons:
        if found.metric == row.metric == other.metric:
            if (found.model, found.other) == (row.model, other.model):
                return found
            if (found.other, found.model) == (row.model, other.model):
                return turned(found)
    return None


def chance(found: Compared) -> str:
    """The p-value, adjusted for all comparisons of its report."""
    return f"p < {_LEAST_P}" if found.adjusted < _LEAST_P else f"p = {found.adjusted:.3f}"


def turned(found: Compared) -> Compared:
    """The other model less the first."""
    interval = found.interval and [-found.interval[1], -found.interval[0]]
    names = found.other, found.model, found.metric
    return Compared(*names, -found.difference, interval, found.p, found.adjusted)


def margin(row: Measured, other: Measured, report: Report | None = None) -> float | None:
    """The difference up to which two values are not told apart, None where an error is not known:
    half of the interval, where the report has compared them.

    Else the errors are added as if the two were measured on different people, which is cautious.
    """
    paired = report and comparison(report, row, other)
    if paired and paired.interval:
        return (paired.interval[1] - paired.interval[0]) / 2
    first, second = (one.standard_error for one in (row, other))
    return None if first is None or second is None else _APART * math.hypot(first, second)
