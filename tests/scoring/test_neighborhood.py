"""Ratings predicted from neighbours, beside dense NumPy: biases, cosines, and the nearest of
what is rated.
"""

from functools import partial
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from tests.flows import given

from emberline.cf.biases import predictions
from emberline.cf.scoring import PREDICTED
from emberline.flow.rows import Flow
from emberline.neighbors.packing import Grid
from emberline.scoring.biases import Residuals, biases_of
from emberline.scoring.deviations import deviations
from emberline.sections.cosine import CosineConfig

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


def as_table(**columns: object) -> pa.Table:
    kinds = {"value": pa.float32()}
    return pa.table(
        {name: pa.array(values, kinds.get(name, pa.int32())) for name, values in columns.items()}
    )


@pytest.mark.parametrize(
    "grid", [None, Grid(1, 1), Grid(4, 3)], ids=["fitting", "one-block", "many-blocks"]
)
@pytest.mark.parametrize("side", ["item", "user"])
@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_predictions_are_those_of_the_nearest_among_what_is_rated(
    flow: Flow, side: Literal["item", "user"], grid: Grid | None
) -> None:
    users, items = np.nonzero(RATED)
    ratings = given(flow, as_table(user=users, item=items, value=VALUES[users, items]), 3)
    wanting = np.array(PAIRS)
    pairs = given(flow, as_table(user=wanting[:, 0], item=wanting[:, 1]), 3)
    biases_ = flow.share(biases_of(flow, ratings, DAMPING))
    config = CosineConfig.model_validate({"ratings": RULE})
    answers = deviations(flow, pairs, Residuals(ratings, biases_), side, config, grid)
    answered = answers.map(partial(predictions, biases=biases_), PREDICTED).table()
    found = {(row["user"], row["item"]): row["predicted"] for row in answered.to_pylist()}
    assert len(found) == answered.num_rows
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


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_biases_are_damped_and_0_of_whom_nothing_is_known(flow: Flow, parts: int) -> None:
    ratings = given(flow, as_table(user=[0, 0, 1], item=[0, 1, 0], value=[5.0, 3.0, 1.0]), parts)
    found = biases_of(flow, ratings, 1.0)
    users, items = np.array([[0, 0], [1, 1], [9, 1], [9, 9]], np.int32).T
    # the mean is 3, the items' biases (2 - 2) / 3 and 0 / 2, the users' (2 + 0) / 3 and -2 / 2
    assert found.expected(users, items).tolist() == pytest.approx([3 + 2 / 3, 2, 3, 3])
    assert found.of_items.means(items, 7.0).tolist() == [3, 3, 3, 7]
    assert found.of_users.means(users, 7.0).tolist() == [4, 1, 7, 7]
