"""Folding in beside the normal equations over all users, least squares, and the loss whose minimum it is."""

import numpy as np
import pytest

from emberline.cf.als import fold_in_explicit, fold_in_implicit, gramian

RNG = np.random.default_rng(4)
USERS = RNG.standard_normal((60, 5)).astype(np.float32)
ALPHA, REG = 3.0, 0.07
RATED = {3: 1.0, 17: 2.5, 18: 0.5, 40: 4.0, 59: 1.0}
MIXED = {3: 1.0, 17: -2.5, 18: 0.0, 40: 4.0, 59: -1.0}


def folded(ratings: dict[int, float]) -> np.ndarray:
    values = np.array(list(ratings.values()), np.float32)
    return fold_in_implicit(USERS[list(ratings)], values, gramian(USERS), ALPHA, REG)


def confidence_and_preference(ratings: dict[int, float]) -> tuple[np.ndarray, np.ndarray]:
    """Of all users: c = 1 + alpha |r|, and p = 1 where r > 0."""
    values = np.zeros(len(USERS))
    values[list(ratings)] = list(ratings.values())
    return 1 + ALPHA * np.abs(values), (values > 0).astype(float)


def loss(x: np.ndarray, ratings: dict[int, float]) -> float:
    """Equation 3 of Hu et al. for one item, the regularisation times the number of positive ratings."""
    c, p = confidence_and_preference(ratings)
    errors = [weight * (wanted - float(x @ user)) ** 2 for user, weight, wanted in zip(USERS, c, p, strict=True)]
    return sum(errors) + REG * sum(value > 0 for value in ratings.values()) * float(x @ x)


def test_the_gramian_is_the_sum_of_outer_products() -> None:
    found = gramian(USERS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, sum(np.outer(user, user) for user in USERS.astype(float)), rtol=1e-12)


@pytest.mark.parametrize("ratings", [RATED, MIXED, {7: 2.0}])
def test_implicit_factors_solve_equation_4_over_all_users(ratings: dict[int, float]) -> None:
    c, p = confidence_and_preference(ratings)
    y, confidence = USERS.astype(float), np.diag(c)
    positive = sum(value > 0 for value in ratings.values())
    expected = np.linalg.inv(y.T @ confidence @ y + REG * positive * np.eye(5)) @ y.T @ confidence @ p
    np.testing.assert_allclose(folded(ratings), expected, rtol=1e-9)


@pytest.mark.parametrize("ratings", [RATED, MIXED])
def test_at_the_implicit_factors_the_loss_has_no_slope(ratings: dict[int, float]) -> None:
    x, step = folded(ratings), 1e-4
    slopes = [(loss(x + step * way, ratings) - loss(x - step * way, ratings)) / (2 * step) for way in np.eye(5)]
    np.testing.assert_allclose(slopes, 0, atol=1e-6)
    away = [loss(x + 0.01 * way, ratings) for way in (*np.eye(5), *-np.eye(5))]
    assert min(away) > loss(x, ratings)


def test_an_item_that_is_only_disliked_has_factors_of_zero() -> None:
    np.testing.assert_allclose(folded({3: -1.0, 5: -2.0}), 0, atol=1e-12)


@pytest.mark.parametrize("count", [1, 3, 30])
def test_explicit_factors_are_least_squares_with_rows_for_the_penalty(count: int) -> None:
    raters, values = USERS[:count], RNG.uniform(1, 5, count).astype(np.float32)
    rows = np.vstack([raters.astype(float), np.sqrt(REG * count) * np.eye(5)])
    expected = np.linalg.lstsq(rows, np.concatenate([values.astype(float), np.zeros(5)]), rcond=None)[0]
    np.testing.assert_allclose(fold_in_explicit(raters, values, REG), expected, rtol=1e-7)
