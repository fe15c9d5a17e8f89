"""By what a network's forms are measured, beside scikit-learn."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from emberline.cnn.parity import Accuracy, Area, Cosine
from emberline.datasets import manifest as manifests

Publish = Callable[..., None]


def test_the_area_of_cold_items_is_scikit_learns(tmp_path: Path, publish: Publish) -> None:
    """Of 30 users with factors, some of whom have rated some of 25 items that nobody else has."""
    rng = np.random.default_rng(3)
    items = rng.permutation(100)[:25].astype(np.int32)
    users, answers = rng.normal(size=(30, 4)), rng.normal(size=(25, 4)).astype(np.float32)
    relevant = rng.random((30, 25)) < 0.2
    relevant[:5] = False
    rated = [
        {"user": user, "item": items[place], "value": 1.0, "timestamp": None, "cold": True}
        for user, place in np.argwhere(relevant)
    ]
    warm = {"user": 1, "item": 200, "value": 1.0, "timestamp": None, "cold": False}
    publish(tmp_path, "split-ratings", "holdout", [*rated, warm])
    known = [{"user": user, "factors": row} for user, row in enumerate(users) if user != 7]
    publish(tmp_path, "train-als", "user_factors", known, rank=4)
    datasets = [manifests.load(tmp_path, name) for name in ("holdout", "user_factors")]
    scores = users.astype(np.float32) @ answers.T
    expected = [
        roc_auc_score(relevant[user], scores[user])
        for user in range(30)
        if user != 7 and relevant[user].any()
    ]
    area = Area.of(datasets[0], datasets[1], items)
    assert area is not None
    assert area.value(answers) == pytest.approx(np.mean(expected), abs=1e-6)
    assert area.value(np.zeros_like(answers)) == pytest.approx(0.5, abs=0.05)
    assert Area.of(datasets[0], datasets[1], np.array([300, 301], np.int32)) is None


def test_the_accuracy_is_of_pictures_with_a_label() -> None:
    logits = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]], np.float32)
    others = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32)
    measure = Accuracy(np.array([0, 1, 1, -1], np.int32))
    assert measure.value(logits) == pytest.approx(2 / 3)
    assert measure.value(others) == pytest.approx(1)
    assert measure.distance(others, logits) == pytest.approx(2 / 4)


def test_the_cosine_is_of_each_pictures_factors_with_the_networks() -> None:
    own = np.array([[1, 0], [0, 2]], np.float32)
    measure = Cosine(own)
    assert measure.value(own) == pytest.approx(1)
    assert measure.value(np.array([[3, 3], [0, 1]], np.float32)) == pytest.approx((2**-0.5 + 1) / 2)
