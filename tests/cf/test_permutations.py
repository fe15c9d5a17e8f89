"""Areas under the ROC curve beside those of permuted items, drawn and counted."""

import itertools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from emberline.cf.permutations import item_z

RNG = np.random.default_rng(3)


def areas(scores: np.ndarray, relevant: np.ndarray) -> float:
    return float(
        np.mean([roc_auc_score(own, of) for own, of in zip(relevant, scores, strict=True)])
    )


def test_deviations_are_those_of_all_permutations() -> None:
    """Of six items, ties among their scores; a user who likes all and one who likes none say
    nothing.
    """
    scores = RNG.integers(0, 4, (5, 6)).astype(np.float32)
    relevant = RNG.random((5, 6)) < 0.4
    relevant[:, 0], relevant[:, 5] = True, False
    every = [areas(scores[:, list(order)], relevant) for order in itertools.permutations(range(6))]
    assert np.mean(every) == pytest.approx(0.5)
    expected = (areas(scores, relevant) - 0.5) / np.std(every)
    extreme = np.array([[True] * 6, [False] * 6])
    found = item_z(np.vstack([scores, scores[:2]]), np.vstack([relevant, extreme]))
    assert found == pytest.approx(expected)


def test_the_same_scores_for_all_items_say_nothing() -> None:
    assert np.isnan(item_z(np.ones((3, 5), np.float32), RNG.random((3, 5)) < 0.5))
    assert np.isnan(item_z(np.ones((3, 5), np.float32), np.zeros((3, 5), bool)))
