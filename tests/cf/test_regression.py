"""Several regressions at once, from Arrow tables, beside NumPy."""

import numpy as np
import pyarrow as pa

from emberline.cf import regression
from emberline.cf.kernels import Landmarks
from emberline.cf.regression import Inputs

FLOATS = pa.list_(pa.float32())
RNG = np.random.default_rng(1)
X = np.sqrt(RNG.dirichlet(np.ones(3), 9)).astype(np.float32)
Y, WEIGHTS = RNG.standard_normal((9, 4)).astype(np.float32), RNG.random(9)
SPLITS = np.array(["train", "val", "train"] * 3)
LANDMARKS = Landmarks.of(X[:2])
INPUTS = {"plain": Inputs("x"), "like": Inputs("x", LANDMARKS)}
SEEN = {"plain": X, "like": LANDMARKS.features(X)}


def lists(matrix: np.ndarray) -> pa.Array:
    return pa.array(list(matrix.astype(np.float32)), FLOATS)


def test_weighted_moments_are_summed_by_split_and_model() -> None:
    columns = [pa.array(SPLITS), lists(X), lists(Y), pa.array(WEIGHTS)]
    batch = pa.record_batch(columns, names=["split", "x", "factors", "weight"])
    sums = regression.sum_moments(iter([batch.slice(0, 4), batch.slice(4)]), INPUTS)
    found = pa.Table.from_batches(sums, regression.MOMENTS).to_pylist()
    assert len(found) == 8
    for model, seen in SEEN.items():
        for split in ("train", "val"):
            chosen = split == SPLITS
            mine, share = (
                np.column_stack([seen, np.ones(9)])[chosen].astype(float),
                WEIGHTS[chosen, None],
            )
            expected = {
                "xx": mine.T @ (share * mine),
                "xy": mine.T @ (share * Y[chosen]),
                "yy": (share * Y[chosen] ** 2).sum(axis=0),
            }
            rows = [row for row in found if (row["model"], row["split"]) == (model, split)]
            assert sum(row["count"] for row in rows) == chosen.sum()
            for name, whole in expected.items():
                np.testing.assert_allclose(
                    sum(np.frombuffer(row[name]) for row in rows), whole.ravel(), rtol=1e-5
                )


def test_weights_are_applied_to_what_each_model_sees_and_the_last_added() -> None:
    weights = {model: RNG.standard_normal((seen.shape[1] + 1, 4)) for model, seen in SEEN.items()}
    batch = pa.record_batch([pa.array(range(9), pa.int32()), lists(X)], names=["item", "x"])
    predicted = regression.apply_weights(iter([batch.slice(0, 2), batch.slice(2)]), INPUTS, weights)
    found = pa.Table.from_batches(predicted, regression.PREDICTED).to_pylist()
    for model, seen in SEEN.items():
        rows = [row for row in found if row["model"] == model]
        assert [row["item"] for row in rows] == list(range(9))
        expected = seen @ weights[model][:-1] + weights[model][-1]
        np.testing.assert_allclose([row["factors"] for row in rows], expected, rtol=1e-4, atol=1e-5)
