"""Factors by alternating least squares, on matrices whose factors are known, and beside a plain NumPy solver."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import runner, stages
from emberline.config import Config
from emberline.datasets import manifest as manifests

Factors = dict[int, np.ndarray]
Both = tuple[Factors, Factors]
Rating = tuple[int, int, float]
Fit = Callable[..., Both]

NUM_USERS, NUM_ITEMS = 60, 40


@pytest.fixture
def fit(spark: SparkSession, root: Path, publish: Callable[..., None]) -> Fit:
    """`fit(ratings, raw, **als)`: the factors that train-als writes; `raw` says what kind of ratings they are."""

    def fit_factors(ratings: Iterable[Rating], raw: dict[str, Any] | None = None, **als: Any) -> Both:
        publish(
            root, "prepare-ratings", "ratings", [{"user": user, "item": item, "value": value} for user, item, value in ratings]
        )
        config = Config.model_validate({"als": {"blocks": 2} | als} | ({"ratings": raw} if raw else {}))
        runner.run(config, root, stages.select(config, "train-als"), force=True)
        return factors_of(root, "user"), factors_of(root, "item")

    return fit_factors


def factors_of(root: Path, side: str) -> Factors:
    table = pa.concat_tables([pq.read_table(path) for path in manifests.load(root, f"{side}_factors").paths])
    return dict(zip(table[side].to_pylist(), (np.array(vector) for vector in table["factors"].to_pylist()), strict=True))


def stacked(factors: Both) -> list[np.ndarray]:
    """Both sides' factors as matrices, of ids 0, 1, 2, ..."""
    return [np.stack([side[index] for index in range(len(side))]) for side in factors]


def same(left: Both, right: Both) -> bool:
    return all(
        one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
        for one, other in zip(left, right, strict=True)
    )


def low_rank(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A matrix of rank 2, and which half of it is known."""
    rng = np.random.default_rng(seed)
    matrix = rng.uniform(0.5, 2, (NUM_USERS, 2)) @ rng.uniform(0, 1.5, (NUM_ITEMS, 2)).T
    return matrix, rng.random(matrix.shape) < 0.5


def known(matrix: np.ndarray, places: np.ndarray) -> list[Rating]:
    return [(int(user), int(item), float(matrix[user, item])) for user, item in np.argwhere(places)]


def rmse(predicted: np.ndarray, matrix: np.ndarray, places: np.ndarray) -> float:
    return float(np.sqrt(np.mean((predicted - matrix)[places] ** 2)))


def test_held_out_entries_of_a_low_rank_matrix_are_recovered(fit: Fit) -> None:
    matrix, places = low_rank(1)
    users, items = stacked(fit(known(matrix, places), feedback="explicit", rank=2, iterations=10, reg_param=0.0005))
    item_means = np.broadcast_to(np.nanmean(np.where(places, matrix, np.nan), axis=0), matrix.shape)
    error = rmse(users @ items.T, matrix, ~places)
    assert error < 0.01
    assert error < rmse(item_means, matrix, ~places) / 20


def half_step(other: np.ndarray, values: np.ndarray, weights: np.ndarray, regs: np.ndarray) -> np.ndarray:
    """Each row's weighted least squares given the other side's factors, `regs` being its regularisation."""
    rows = []
    for row, weight, reg in zip(values, weights, regs, strict=True):
        normal = (other.T * weight) @ other + reg * np.eye(other.shape[1])
        rows.append(np.linalg.solve(normal, (other.T * weight) @ row))
    return np.array(rows)


def loss(users: np.ndarray, items: np.ndarray, matrix: np.ndarray, places: np.ndarray, reg: float) -> float:
    squared = ((users @ items.T - matrix)[places] ** 2).sum()
    return float(squared + reg * (places.sum(1) @ (users**2).sum(1) + places.sum(0) @ (items**2).sum(1)))


def test_the_explicit_loss_is_that_of_a_plain_solver(fit: Fit) -> None:
    """Regularisation is multiplied by a row's number of ratings (Zhou et al. 2008); the last half-step is the users'."""
    reg = 0.05
    matrix, places = low_rank(2)
    matrix = matrix + np.random.default_rng(3).normal(0, 0.3, matrix.shape)
    users, items = stacked(fit(known(matrix, places), feedback="explicit", rank=2, iterations=10, reg_param=reg))
    np.testing.assert_allclose(users, half_step(items, matrix, places, reg * places.sum(1)), atol=1e-4)

    plain_items = np.random.default_rng(4).random((NUM_ITEMS, 2))
    for _ in range(100):
        plain_users = half_step(plain_items, matrix, places, reg * places.sum(1))
        plain_items = half_step(plain_users, matrix.T, places.T, reg * places.sum(0))
    assert loss(users, items, matrix, places, reg) == pytest.approx(loss(plain_users, plain_items, matrix, places, reg), rel=0.05)


def test_implicit_factors_keep_to_the_users_taste(fit: Fit) -> None:
    """Even users take even items only, odd users odd ones; how often is the confidence's part of the normal equations."""
    rng, alpha, reg = np.random.default_rng(5), 10.0, 0.1
    counts = np.zeros((30, 20))
    for user in range(30):
        counts[user, user % 2 + 2 * rng.choice(10, 5, replace=False)] = rng.integers(1, 4, 5)
    taken = counts > 0
    factors = fit(known(counts, taken), feedback="implicit", rank=2, iterations=6, alpha=alpha, reg_param=reg)
    users, items = stacked(factors)
    np.testing.assert_allclose(users, half_step(items, taken * 1.0, 1 + alpha * counts, reg * taken.sum(1)), atol=1e-4)
    best = np.argsort(-np.where(taken, -np.inf, users @ items.T), axis=1)[:, :5]
    assert np.all(best % 2 == np.arange(30)[:, None] % 2)


FEW: list[Rating] = [(user, item, float(1 + (user * item) % 4)) for user in range(0, 40, 4) for item in range(3, 30, 3)]
QUICK: dict[str, Any] = {"rank": 3, "iterations": 2}
RAW: dict[str, Any] = {"path": "", "columns": {"user_id": "user", "item_id": "item", "value": "value"}}


def test_the_same_seed_gives_the_same_factors_of_the_length_rank(fit: Fit, root: Path) -> None:
    first = fit(FEW, **QUICK, seed=7)
    assert [side.keys() for side in first] == [{user for user, _, _ in FEW}, {item for _, item, _ in FEW}]
    assert {len(vector) for side in first for vector in side.values()} == {3}
    assert {manifests.load(root, f"{side}_factors").manifest.rank for side in ("user", "item")} == {3}
    assert same(fit(FEW, **QUICK, seed=7), first)
    assert not same(fit(FEW, **QUICK, seed=8), first)


def test_feedback_is_explicit_for_ratings_and_implicit_for_events_unless_told(fit: Fit) -> None:
    explicit, implicit = (fit(FEW, **QUICK, feedback=feedback) for feedback in ("explicit", "implicit"))
    assert not same(explicit, implicit)
    assert same(fit(FEW, RAW | {"value": "rating"}, **QUICK), explicit)
    assert same(fit(FEW, RAW | {"value": "count"}, **QUICK), implicit)


def test_alpha_multiplies_the_logarithm_of_one_plus_the_value(fit: Fit) -> None:
    """Half of alpha on twice the logarithm is the same confidence."""
    doubled = [(user, item, 2 * float(np.log1p(value))) for user, item, value in FEW]
    configured = fit(FEW, **QUICK, feedback="implicit", alpha=5.0, confidence="log")
    by_hand = fit(doubled, **QUICK, feedback="implicit", alpha=2.5)
    for left, right in zip(configured, by_hand, strict=True):
        assert left.keys() == right.keys()
        assert all(left[key] == pytest.approx(right[key], abs=1e-5) for key in right)
