"""Draws and sums over replicates, beside loops, NumPy, and what their distribution has to be."""

import numpy as np
import pytest
from scipy import stats

from emberline.cf.resampling import Resampled, draws, signs
from emberline.numeric import hashing

KEYS = hashing.of_ids(np.arange(3000, dtype=np.int32), seed=7)
RNG = np.random.default_rng(5)
VALUES = RNG.random((3000, 3))
WEIGHTS = RNG.integers(0, 4, (3000, 3)).astype(float)


def test_a_unit_is_counted_as_a_poisson_variable_of_mean_one() -> None:
    """Chi-squared of 3 million draws, seven classes: 1 in 1000."""
    counts = np.bincount(np.minimum(draws(KEYS, 1000).astype(int).ravel(), 6), minlength=7)
    expected = stats.poisson.pmf(np.arange(7), 1.0)
    expected[6] = 1 - expected[:6].sum()
    expected *= counts.sum()
    assert ((counts - expected) ** 2 / expected).sum() < stats.chi2.ppf(0.999, 6)


def test_neighbouring_units_and_replicates_are_drawn_independently() -> None:
    counts, flips = draws(KEYS, 200), signs(KEYS, 200)
    for drawn in (counts, flips):
        for axis in (0, 1):
            moved = np.roll(drawn, 1, axis)
            # 4 standard errors of a correlation
            assert abs(np.corrcoef(drawn.ravel(), moved.ravel())[0, 1]) < 4 / drawn.size**0.5
    assert abs(np.corrcoef(counts.ravel(), flips.ravel())[0, 1]) < 4 / counts.size**0.5
    assert set(np.unique(flips)) == {-1, 1} and abs(flips.mean()) < 4 / flips.size**0.5


def test_a_draw_depends_on_seed_unit_and_replicate_alone() -> None:
    assert (draws(KEYS[5:9], 33) == draws(KEYS, 1000)[5:9, :33]).all()
    assert (signs(KEYS[5:9], 70) == signs(KEYS, 1000)[5:9, :70]).all()
    other = hashing.of_ids(np.arange(5, 9, dtype=np.int32), seed=8)
    assert (draws(other, 33) != draws(KEYS[5:9], 33)).any()


def test_sums_are_those_of_a_loop_over_replicates() -> None:
    found = Resampled.of(KEYS, VALUES, WEIGHTS, 20)
    counts, flips = draws(KEYS, 20), signs(KEYS, 20)
    for replicate in range(20):
        each = counts[:, replicate, None] * WEIGHTS
        np.testing.assert_allclose(
            found.replicates()[:, replicate], (each * VALUES).sum(axis=0) / each.sum(axis=0)
        )
        np.testing.assert_allclose(
            found.flips[:, replicate],
            (flips[:, replicate, None] * WEIGHTS * VALUES).sum(axis=0),
            rtol=1e-9,
        )
    np.testing.assert_allclose(found.means(), np.average(VALUES, 0, WEIGHTS))
    assert found.moments[:, 0].tolist() == (WEIGHTS > 0).sum(axis=0).tolist()


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_any_parts_in_any_order_come_to_the_same(parts: int) -> None:
    whole, merged = Resampled.of(KEYS, VALUES, WEIGHTS, 64), Resampled.empty(3, 64)
    for part in np.array_split(RNG.permutation(len(KEYS)), parts):
        own = Resampled.of(KEYS[part], VALUES[part], WEIGHTS[part], 64)
        merged = merged.merge(Resampled.from_vectors(own.to_vectors()))
    np.testing.assert_allclose(merged.to_vectors(), whole.to_vectors(), rtol=1e-9, atol=1e-9)


def test_the_error_of_a_mean_is_numpys_and_that_of_replicates_is_like_it() -> None:
    ones = np.ones_like(VALUES)
    found = Resampled.of(KEYS, VALUES, ones, 1000)
    expected = VALUES.std(axis=0, ddof=1) / np.sqrt(len(VALUES))
    np.testing.assert_allclose(found.standard_errors(), expected)
    # of 1,000 replicates, 4 standard errors of a deviation
    np.testing.assert_allclose(found.replicates().std(axis=1), expected, rtol=4 / 2000**0.5)


def test_nothing_has_no_mean_and_one_unit_no_error() -> None:
    assert np.isnan(Resampled.empty(2, 5).means()).all()
    one = Resampled.of(KEYS[:1], VALUES[:1], np.ones((1, 3)), 5)
    assert one.means().tolist() == VALUES[0].tolist() and np.isnan(one.standard_errors()).all()
    assert one.units == 1
