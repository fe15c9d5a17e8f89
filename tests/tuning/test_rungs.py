"""Successive halving, counted by hand."""

import pytest

from emberline.tuning import rungs


@pytest.mark.parametrize(
    ("most", "budgets"), [(10, [4, 10]), (40, [5, 14, 40]), (3, [3]), (1, [1]), (90, [10, 30, 90])]
)  # fmt: skip
def test_each_budget_is_a_third_of_the_next(most: int, budgets: list[int]) -> None:
    assert rungs.budgets(most) == budgets


def test_the_best_third_goes_on_in_the_order_of_trials() -> None:
    values, going = [0.2, 0.1, 0.3, 0.25, 0.28, 0.1, 0.26], []
    for place, value in enumerate(values):
        going.append(rungs.goes_on(value, values[:place], lower_is_better=False))
    # the first, the best of 3, the second of 4 and of 5, and the third of 7
    assert going == [True, False, True, True, True, False, True]
    assert rungs.goes_on(0.1, [0.2, 0.3, 0.4], lower_is_better=True)
    assert not rungs.goes_on(0.4, [0.2, 0.3], lower_is_better=True)
