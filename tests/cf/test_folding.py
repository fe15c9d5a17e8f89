"""Somebody folded in, beside the minimum of the objective that is found from its formula."""

import itertools

import numpy as np
import pytest
import scipy.optimize

from emberline.cf.als.factors import published
from emberline.cf.als.folding import Fixed
from emberline.cf.als.objective import Objective
from emberline.cf.blocks import Block

RNG = np.random.default_rng(5)
ITEMS, RANK = 12, 3
RATED, VALUES = np.array([1, 4, 5, 9], np.int32), np.array([1, 5, 3, 2], np.float32)


def cost(x: np.ndarray, y: np.ndarray, objective: Objective) -> float:
    """The sum of the table in objective.py, over one user's pairs."""
    total, count = 0.0, float(len(RATED))
    scores = y[:, :RANK] @ x[:RANK]
    if objective.biases:
        scores = scores + x[-1] + y[:, -1] + objective.mean
    for item in range(ITEMS):
        if item in RATED:
            value = float(VALUES[list(RATED).index(item)])
            weight, wanted = 1.0, value
            if objective.implicit:
                wanted = float(value > 0)
                if objective.unobserved_weight is None:
                    weight = 1 + objective.alpha * np.log1p(value)
            total += weight * (wanted - scores[item]) ** 2
            if objective.unobserved_weight is not None:
                total += objective.unobserved_weight * scores[item] ** 2
        elif objective.implicit:
            total += objective.w * scores[item] ** 2
    if objective.unobserved_weight is not None:
        count += objective.unobserved_weight * ITEMS
    penalty = objective.reg_param * count**objective.reg_exponent
    return total + penalty * float(x @ x)


OBJECTIVES = [
    Objective(True, 0.1, 1.0, 3.0, "log"),
    Objective(True, 0.5, 0.0, 10.0, "log"),
    Objective(True, 0.1, 0.5, 1.0, "linear", unobserved_weight=0.1),
    Objective(False, 0.2, 1.0),
    Objective(False, 0.2, 1.0, biases=True, mean=2.5),
]


@pytest.mark.parametrize(
    ("objective", "nonnegative"), list(itertools.product(OBJECTIVES, (False, True))), ids=str
)
def test_nothing_makes_the_objective_smaller(objective: Objective, nonnegative: bool) -> None:
    if nonnegative and objective.biases:
        pytest.skip("train-als has no such fit")
    width = RANK + objective.biases
    y = RNG.normal(size=(ITEMS, width)).astype(np.float32)
    tables = published(y, "item", objective)
    fixed = Fixed.of([tables[:5], tables[5:]], objective, nonnegative)
    columns = np.arange(len(RATED), dtype=np.int32)
    block = Block(np.zeros(1, np.int32), np.array([0, len(RATED)]), columns, VALUES)
    (found,) = fixed.fold_in(block, fixed.inside(tables[RATED]))
    bounds = [(0, None)] * width if nonnegative else None
    best = scipy.optimize.minimize(
        cost, np.zeros(width), (y.astype(float), objective), bounds=bounds, tol=1e-12
    )
    (expected,) = published(best.x[None].astype(np.float32), "user", objective)
    assert found == pytest.approx(expected, abs=2e-3)
    if not nonnegative:
        assert np.abs(found).max() > 0.01
