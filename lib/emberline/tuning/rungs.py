"""How much each trial may cost: successive halving, by arithmetic.

A trial begins at the smallest budget (iterations of ALS, epochs of a network), and goes on to the
next where it is among the best third of those that have come so far (Li et al. 2020, ASHA, whose
promotions do not depend on what other machines are doing here: trials count in their order).
"""

from collections.abc import Sequence

KEPT = 3  # one in so many goes on
_LEAST, _MOST = 3, 3  # of a budget, and of rungs


def budgets(most: int) -> list[int]:
    """The budgets that a trial may have, ascending: `most`, a third of it, a ninth."""
    found = [most]
    while len(found) < _MOST and (less := -(-found[0] // KEPT)) >= _LEAST and less < found[0]:
        found.insert(0, less)
    return found


def goes_on(value: float, others: Sequence[float], lower_is_better: bool) -> bool:
    """Whether a trial of this value goes on, beside those that were at the same budget before."""
    better = [other < value if lower_is_better else other > value for other in others]
    return sum(better) < -(-(len(others) + 1) // KEPT)
