"""Kernel features of landmarks beside the kernel itself."""

import numpy as np

from emberline.cf.kernels import Landmarks

RNG = np.random.default_rng(2)


def roots_of_histograms(count: int) -> np.ndarray:
    return np.sqrt(RNG.dirichlet(np.ones(8), count)).astype(np.float32)


def kernel(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.array(
        [
            [np.exp(-(1 - sum(x * y for x, y in zip(a, b, strict=True))) / 0.15) for b in right]
            for a in left
        ]
    )


def test_products_of_features_are_the_kernel_where_a_landmark_is_one_of_two() -> None:
    rows, others = roots_of_histograms(30), roots_of_histograms(10)
    landmarks = Landmarks.of(rows)
    np.testing.assert_allclose(
        landmarks.features(rows) @ landmarks.features(others).T, kernel(rows, others), atol=2e-3
    )


def test_landmarks_that_are_alike_count_once() -> None:
    row = roots_of_histograms(1)
    features = Landmarks.of(np.repeat(row, 5, axis=0)).features(row)
    assert features.shape == (1, 1)
    np.testing.assert_allclose(features**2, 1, atol=1e-5)
