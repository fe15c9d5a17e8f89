"""Targets beside NumPy's eigenvectors of the factors' correlations."""

import numpy as np
import pytest

from emberline.cnn.targets import Components, fit_components

RNG = np.random.default_rng(2)
SCALES = np.array([3.0, 0.1, 1.0, 20.0, 0.5])
FACTORS = (
    (RNG.standard_normal((300, 5)) @ RNG.standard_normal((5, 5))) * SCALES + [5, 0, -2, 100, 0]
).astype(np.float32)


def standardised(factors: np.ndarray) -> np.ndarray:
    exact = factors.astype(float)
    return (exact - exact.mean(axis=0)) / exact.std(axis=0)


def restored(components: Components, factors: np.ndarray) -> np.ndarray:
    return components.targets(factors) @ components.back + components.mean


def test_all_components_restore_the_factors() -> None:
    components = fit_components([FACTORS], 5)
    assert (components.mean.dtype, components.forward.dtype, components.back.dtype) == (
        np.float32,
    ) * 3
    error = np.abs(restored(components, FACTORS) - FACTORS)
    assert (error / FACTORS.std(axis=0)).max() < 1e-4


def test_targets_have_the_means_zero_and_the_first_the_largest_variance_one() -> None:
    targets = fit_components([FACTORS], 5).targets(FACTORS)
    np.testing.assert_allclose(targets.mean(axis=0), 0, atol=1e-4)
    variances = targets.var(axis=0)
    assert variances[0] == pytest.approx(1, rel=1e-4)
    assert np.all(np.diff(variances) < 0)


def test_targets_are_the_main_components_of_the_correlations() -> None:
    """Up to sign, and to one scale for all."""
    values, vectors = np.linalg.eigh(np.corrcoef(FACTORS.T.astype(float)))
    expected = standardised(FACTORS) @ vectors[:, ::-1] / np.sqrt(values[-1])
    targets = fit_components([FACTORS], 5).targets(FACTORS)
    signs = np.sign((targets * expected).sum(axis=0))
    np.testing.assert_allclose(targets * signs, expected, atol=1e-3)
    np.testing.assert_allclose(targets.var(axis=0), values[::-1] / values[-1], rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_fewer_components_restore_as_well_as_any_matrix_of_that_rank(count: int) -> None:
    """Eckart and Young: what is lost is the sum of the smaller eigenvalues."""
    components = fit_components([FACTORS], count)
    assert components.forward.shape == (5, count)
    assert components.back.shape == (count, 5)
    lost = (restored(components, FACTORS).astype(float) - FACTORS) / FACTORS.std(
        axis=0, dtype=float
    )
    smaller = np.linalg.eigvalsh(np.corrcoef(FACTORS.T.astype(float)))[: 5 - count]
    assert np.square(lost).sum() == pytest.approx(300 * smaller.sum(), rel=1e-3)


def test_fewer_components_are_the_first_of_more() -> None:
    np.testing.assert_array_equal(
        fit_components([FACTORS], 2).targets(FACTORS),
        fit_components([FACTORS], 5).targets(FACTORS)[:, :2],
    )


def test_row_groups_are_added_up() -> None:
    whole, cut = fit_components([FACTORS], 3), fit_components(np.array_split(FACTORS, 7), 3)
    np.testing.assert_allclose(
        restored(cut, FACTORS), restored(whole, FACTORS), rtol=1e-5, atol=1e-4
    )


def test_other_factors_are_projected_by_the_training_factors() -> None:
    components = fit_components([FACTORS], 5)
    others = FACTORS[:10] + np.float32(1)
    np.testing.assert_allclose(restored(components, others), others, rtol=1e-3, atol=1e-3)


def test_there_are_no_more_components_than_rows_or_factors() -> None:
    assert fit_components([FACTORS], 99).forward.shape == (5, 5)
    assert fit_components([FACTORS[:3]], 99).forward.shape == (5, 3)


def test_a_constant_factor_is_restored_and_has_no_weight() -> None:
    factors = FACTORS.copy()
    factors[:, 2] = 0.3
    components = fit_components([factors], 4)
    assert np.isfinite(components.forward).all()
    np.testing.assert_allclose(components.targets(factors).var(axis=0)[0], 1, rtol=1e-4)
    np.testing.assert_allclose(restored(components, factors)[:, 2], 0.3, rtol=1e-6)
    without = np.delete(factors, 2, axis=1)
    found, expected = components.targets(factors), fit_components([without], 4).targets(without)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)


def test_a_factor_that_only_the_training_items_share_does_not_explode_for_others() -> None:
    factors = FACTORS.copy()
    factors[:, 2] = 0
    others = FACTORS[:20]
    assert np.abs(fit_components([factors], 5).targets(others)).max() < 100


@pytest.mark.parametrize("rows", [1, 10])
def test_factors_that_are_all_alike_are_restored(rows: int) -> None:
    factors = np.repeat(FACTORS[:1], rows, axis=0)
    components = fit_components([factors], 3)
    assert np.isfinite(components.targets(factors)).all()
    np.testing.assert_allclose(restored(components, factors), factors, rtol=1e-6)
