"""A user solved from the items' factors by the formulas of `cf/als/objective.py`, one by one."""

import numpy as np

from emberline.cf.als.objective import Objective
from emberline.numeric.arrays import Array, Float64


def solved(
    factors: Array,
    items: Array,
    values: Array,
    objective: Objective,
    squares: Float64 | None = None,
) -> Float64:
    """The factors (rank,) of who has rated some rows of the items' factors (n, rank), in
    float64; `squares` (rank, rank) is the sum over all items, where that is known.
    """
    every = factors.astype(float, copy=False)
    if not len(items):
        return np.zeros(every.shape[1])
    y, v = every[items], values.astype(float)
    e, p, count = _terms(v, objective, len(every))
    a = e - objective.w if objective.replaces else e
    squares = every.T @ every if squares is None else squares
    matrix = objective.w * squares + y.T @ (a[:, None] * y)
    matrix += objective.reg_param * count**objective.reg_exponent * np.eye(every.shape[1])
    return np.linalg.solve(matrix, y.T @ (e * p))


def _terms(v: Float64, objective: Objective, num_items: int) -> tuple[Float64, Float64, float]:
    if not objective.implicit:
        return np.ones(len(v)), v, len(v)
    liked = (v > 0).astype(float)
    if objective.unobserved_weight is not None:
        return np.ones(len(v)), liked, len(v) + objective.unobserved_weight * num_items
    strength = {
        "linear": np.abs(v),
        "log": np.log1p(np.abs(v)),
        "exp": np.exp(np.clip((v - objective.mean) / objective.deviation, -4, 4)),
    }[objective.confidence]
    return 1 + objective.alpha * strength, liked, liked.sum()
