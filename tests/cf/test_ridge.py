"""Ridge regression from sums beside least squares over the rows themselves."""

import numpy as np
import pytest

from emberline.cf.ridge import Moments, choose, with_one

RNG = np.random.default_rng(6)
X = RNG.standard_normal((80, 6)).astype(np.float32) + np.float32(2)
Y = (X @ RNG.standard_normal((6, 3)) + 5 + RNG.standard_normal((80, 3))).astype(np.float32)


def direct_error(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
    predicted = x.astype(float) @ weights[:-1] + weights[-1]
    return float(((predicted - y.astype(float)) ** 2).sum())


def assert_same(one: Moments, other: Moments) -> None:
    assert one.count == other.count
    for name in ("xx", "xy", "yy"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10)


@pytest.mark.parametrize("cuts", [(), (1,), (10, 30, 31), (0, 80)])
def test_moments_of_parts_merge_to_the_moments_of_all(cuts: tuple[int, ...]) -> None:
    merged = Moments.empty(6, 3)
    for x, y in zip(np.split(X, cuts), np.split(Y, cuts), strict=True):
        merged = merged.merge(Moments.of(x, y))
    assert_same(merged, Moments.of(X, Y))
    assert merged.count == 80


def test_it_does_not_matter_which_moments_are_merged_first() -> None:
    a, b, c = (
        Moments.of(X[rows], Y[rows]) for rows in (slice(0, 20), slice(20, 25), slice(25, 80))
    )
    assert_same(a.merge(b).merge(c), a.merge(b.merge(c)))
    assert_same(a.merge(b), b.merge(a))


def test_moments_are_sums_over_rows() -> None:
    rows = [np.append(row, 1.0) for row in X.astype(float)]
    found = Moments.of(X, Y)
    np.testing.assert_allclose(found.xx, sum(np.outer(row, row) for row in rows), rtol=1e-10)
    np.testing.assert_allclose(
        found.xy,
        sum(np.outer(row, y) for row, y in zip(rows, Y.astype(float), strict=True)),
        rtol=1e-10,
    )
    np.testing.assert_allclose(found.yy, sum(y * y for y in Y.astype(float)), rtol=1e-10)


@pytest.mark.parametrize("strength", [1e-4, 0.1, 10.0])
def test_weights_are_least_squares_with_rows_for_the_penalty(strength: float) -> None:
    """One more row for each feature, none for the constant."""
    x = np.column_stack([X.astype(float), np.ones(80)])
    mean_square_sum = np.mean([(X[:, feature].astype(float) ** 2).sum() for feature in range(6)])
    penalty = np.sqrt(strength * mean_square_sum) * np.eye(7)[:6]
    expected = np.linalg.lstsq(
        np.vstack([x, penalty]), np.vstack([Y, np.zeros((6, 3))]), rcond=None
    )[0]
    np.testing.assert_allclose(Moments.of(X, Y).solve(strength), expected, rtol=1e-6)


def test_the_constant_carries_the_mean_where_the_features_may_not_weigh() -> None:
    weights = Moments.of(X, Y).solve(1e9)
    np.testing.assert_allclose(weights[:-1], 0, atol=1e-6)
    np.testing.assert_allclose(weights[-1], Y.mean(axis=0), rtol=1e-4)


def test_features_that_are_always_zero_have_no_weight() -> None:
    x = np.column_stack([X, np.zeros(80, np.float32)])
    weights = Moments.of(x, Y).solve(0.1)
    np.testing.assert_allclose(weights[6], 0, atol=1e-12)


def test_the_squared_error_is_the_sum_over_rows_and_targets() -> None:
    for weights in (RNG.standard_normal((7, 3)), np.zeros((7, 3)), Moments.of(X, Y).solve(0.01)):
        assert Moments.of(X, Y).squared_error(weights) == pytest.approx(
            direct_error(X, Y, weights), rel=1e-8
        )


def test_the_strength_with_the_smallest_held_out_error_is_chosen() -> None:
    """Few rows of many useless features want much regularisation, plenty of rows little."""
    strengths = (1e-6, 1e-3, 0.1, 3.0, 100.0)
    chosen = []
    for rows, noise in ((30, 5.0), (400, 0.1)):
        x = RNG.standard_normal((rows, 20)).astype(np.float32)
        y = (x[:, :1] + noise * RNG.standard_normal((rows, 1))).astype(np.float32)
        cut = rows * 2 // 3
        train, held_out = Moments.of(x[:cut], y[:cut]), Moments.of(x[cut:], y[cut:])
        errors = [direct_error(x[cut:], y[cut:], train.solve(strength)) for strength in strengths]
        best = strengths[int(np.argmin(errors))]
        np.testing.assert_array_equal(choose(train, held_out, strengths), train.solve(best))
        chosen.append(best)
    assert chosen[0] > chosen[1]


def test_the_constant_comes_last() -> None:
    found = with_one(np.array([[2, 3], [4, 5]], np.float32))
    assert found.dtype == np.float32
    assert found.tolist() == [[2, 3, 1], [4, 5, 1]]
