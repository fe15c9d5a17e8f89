"""Scores of new and of rated items on one scale, beside scikit-learn and known chances."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from emberline.cf.content.calibration import Calibration, Pairs, calibrated, logistic

RNG = np.random.default_rng(8)
CENTRE = np.array([0.5, -1.0], np.float32)


def pairs(count: int, constant: float, slope: float, spread: float) -> Pairs:
    """Whose chances to be liked are a line's."""
    scores = RNG.normal(0.1, spread, count)
    return Pairs(scores, RNG.random(count) < 1 / (1 + np.exp(-(constant + slope * scores))))


def test_the_line_is_that_of_scikit_learn() -> None:
    some = pairs(3000, -3.0, 4.0, 0.5)
    peer = LogisticRegression(C=np.inf, tol=1e-8).fit(some.scores[:, None], some.liked)
    assert logistic(some) == pytest.approx((peer.intercept_[0], peer.coef_[0, 0]), rel=1e-3)


def test_a_line_is_found_where_newton_s_steps_are_too_long() -> None:
    """One liked pair in a thousand, scores far from zero."""
    some = pairs(200_000, -60.0, 10.0, 0.05)
    far = Pairs(np.concatenate([some.scores + 4.9, [9.0]]), np.append(some.liked, True))
    constant, slope = logistic(far)
    assert 0 < slope < 40 and np.isfinite(constant)


def test_calibrated_scores_are_those_of_rated_items_as_likely_to_be_liked() -> None:
    """P(rated) = f(-6 + 10 s) and P(new) = f(-3 + 8 d) are equal at s = 0.8 d + 0.3."""
    found = calibrated(pairs(400_000, -6.0, 10.0, 0.2), pairs(200_000, -3.0, 8.0, 0.2), CENTRE)
    assert found is not None
    for d in (0.2, 0.4, 0.6):
        score = found.slope * d + found.added(rated=1000, new=100)
        assert score == pytest.approx(0.8 * d + 0.3, abs=0.03)
    user, factors = np.array([2.0, 1.0]), np.array([[1.0, 1.0]], np.float32)
    assert found.factors(factors) @ user == pytest.approx(found.slope * 3.0, abs=1e-5)


def test_where_most_unrated_items_are_not_new_each_is_less_likely_to_be_liked() -> None:
    """Of 1,000 beside 1,000 rated ones a quarter is taken for new: their odds are a quarter."""
    calibration = Calibration(1.0, 0.2, 10.0, CENTRE)
    assert calibration.added(rated=1000, new=250) == pytest.approx(0.2)
    assert calibration.added(rated=1000, new=1000) == pytest.approx(0.2 - np.log(4) / 10)


@pytest.mark.parametrize(("slope", "spread"), [(-5.0, 0.2), (0.0, 1e-9), (0.0, 10.0)])
def test_scores_that_say_nothing_of_what_is_liked_are_not_calibrated(
    slope: float, spread: float
) -> None:
    rated, new = pairs(20_000, -3.0, 10.0, 0.2), pairs(20_000, -2.0, slope, spread)
    assert calibrated(rated, new, CENTRE) is None


def test_too_few_liked_pairs_are_not_calibrated() -> None:
    rated = pairs(20_000, -3.0, 10.0, 0.2)
    assert calibrated(rated, Pairs(np.ones(100), np.zeros(100, bool)), CENTRE) is None
    assert calibrated(rated, Pairs(np.empty(0), np.empty(0, bool)), CENTRE) is None
