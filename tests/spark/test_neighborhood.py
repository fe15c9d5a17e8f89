"""Ratings predicted from neighbours, beside dense NumPy: biases, cosines, and the nearest of
what is rated.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest
from pyspark.sql import SparkSession

from emberline.neighbors.packing import Grid
from emberline.sections.cosine import CosineConfig
from emberline.spark.biases import Biases
from emberline.spark.deviations import deviations

Matrix = npt.NDArray[np.float64]

RNG = np.random.default_rng(3)
USERS, ITEMS, DAMPING = 40, 25, 5.0
RATED = RNG.random((USERS, ITEMS)) < 0.3
RATED[:, 4] = RATED[7] = False
VALUES = np.where(RATED, RNG.integers(1, 6, RATED.shape), 0).astype(float)
UNKNOWN = USERS + 1000, ITEMS + 1000
PAIRS = [
    (u, i) for u in range(USERS) for i in range(ITEMS) if not RATED[u, i] and RNG.random() < 0.7
]
# pairs of training, too
PAIRS += [(UNKNOWN[0], 0), (0, UNKNOWN[1]), *zip(*np.nonzero(RATED[:3]), strict=True)]
RULE = {"top_k": 4, "shrinkage": 3.0, "min_support": 2, "prior": 0.0, "damping": DAMPING}


def biases() -> Matrix:
    """(USERS, ITEMS): the mean of all, and what items and then users deviate from it, damped."""
    mean = VALUES[RATED].mean()
    items = np.array(
        [
            (VALUES[RATED[:, i], i] - mean).sum() / (RATED[:, i].sum() + DAMPING)
            for i in range(ITEMS)
        ]
    )
    left = np.where(RATED, VALUES - mean - items, 0)
    return mean + items + (left.sum(axis=1) / (RATED.sum(axis=1) + DAMPING))[:, None]


def of_items(
    pairs: list[tuple[int, int]], left: Matrix, rated: npt.NDArray[np.bool_]
) -> dict[tuple[int, int], float]:
    """By the four nearest items of positive, damped cosine among those that the user rated;
    pairs without any are missing.
    """
    lengths = np.linalg.norm(left, axis=0)
    support = rated.T.astype(int) @ rated.astype(int)
    cosines = (
        left.T @ left / np.where(np.outer(lengths, lengths) > 0, np.outer(lengths, lengths), 1)
    )
    similar = np.where(support >= 2, cosines * support / (support + 3.0), 0)
    np.fill_diagonal(similar, 0)
    found = {}
    for user, item in pairs:
        if user < rated.shape[0] and item < rated.shape[1]:
            near = sorted(
                (-similar[item, j], j) for j in np.flatnonzero(rated[user]) if similar[item, j] > 0
            )[:4]
            if near:
                found[int(user), int(item)] = sum(s * left[user, j] for s, j in near) / sum(
                    s for s, _ in near
                )
    return found


@pytest.mark.parametrize(
    "grid", [None, Grid(1, 1), Grid(4, 3)], ids=["fitting", "one-block", "many-blocks"]
)
@pytest.mark.parametrize("side", ["item", "user"])
def test_predictions_are_those_of_the_nearest_among_what_is_rated(
    spark: SparkSession, side: Literal["item", "user"], grid: Grid | None
) -> None:
    users, items = np.nonzero(RATED)
    rows = [(int(u), int(i), float(VALUES[u, i])) for u, i in zip(users, items, strict=True)]
    ratings = spark.createDataFrame(rows, "user int, item int, value float")
    pairs = spark.createDataFrame([(int(u), int(i)) for u, i in PAIRS], "user int, item int")
    fitted = Biases.of(ratings, DAMPING)
    answers = deviations(
        pairs, fitted.residuals(ratings), side, CosineConfig.model_validate({"ratings": RULE}), grid
    )
    found = {
        (row["user"], row["item"]): row["predicted"]
        for row in fitted.predictions(answers).collect()
    }
    expected = biases()
    left = np.where(RATED, VALUES - expected, 0)
    wanted = of_items(PAIRS, left, RATED)
    if side == "user":
        wanted = {
            (u, i): value
            for (i, u), value in of_items([(i, u) for u, i in PAIRS], left.T, RATED.T).items()
        }
    assert 0.2 * len(PAIRS) < len(wanted) < len(PAIRS)
    assert found == pytest.approx(
        {pair: expected[pair] + value for pair, value in wanted.items()}, abs=1e-5
    )


def test_biases_are_damped_and_0_of_whom_nothing_is_known(spark: SparkSession) -> None:
    ratings = spark.createDataFrame(
        [(0, 0, 5.0), (0, 1, 3.0), (1, 0, 1.0)], "user int, item int, value float"
    )
    pairs = spark.createDataFrame([(0, 0), (1, 1), (9, 1), (9, 9)], "user int, item int")
    found = {
        (row["user"], row["item"]): row["bias"]
        for row in Biases.of(ratings, 1.0).added_to(pairs).collect()
    }
    # the mean is 3, the items' biases (2 - 2) / 3 and 0 / 2, the users' (2 + 0) / 3 and -2 / 2
    assert found == pytest.approx({(0, 0): 3 + 2 / 3, (1, 1): 2.0, (9, 1): 3.0, (9, 9): 3.0})
