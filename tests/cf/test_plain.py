"""Several regressions at once, from Arrow tables, beside NumPy."""

import numpy as np
import pyarrow as pa

from emberline.cf import plain, sums
from emberline.cf.kernels import Landmarks
from emberline.cf.plain import KNOWN, Inputs
from emberline.cf.ridge import Moments

RNG = np.random.default_rng(1)
X = np.sqrt(RNG.dirichlet(np.ones(3), 12)).astype(np.float32)
Y, RATINGS = RNG.standard_normal((12, 4)).astype(np.float32), RNG.integers(0, 50, 12)
SPLITS = np.array(["train", "val", "train", "test"] * 3)
LANDMARKS = Landmarks.of(X[:2])
INPUTS = {"plain": Inputs("colours"), "like": Inputs("colours", LANDMARKS)}
SEEN = {"plain": X, "like": LANDMARKS.features(X)}


def batches() -> list[pa.RecordBatch]:
    """Twelve items: three are tested, of which one has factors, and one in training has none."""
    rows = [
        {
            "id": item,
            "split": SPLITS[item],
            "colours": X[item],
            "factors": None if item in (0, 3, 7) else Y[item],
            "ratings": RATINGS[item],
        }
        for item in range(12)
    ]
    batch = pa.RecordBatch.from_pylist(rows, KNOWN)
    return [batch.slice(0, 5), batch.slice(5)]


def test_moments_of_items_trained_on_are_summed_by_split_and_model() -> None:
    weights = np.maximum(RATINGS, 1) / (np.maximum(RATINGS, 1) + 20)
    found = sums.decoded(
        row for batch in plain.sum_moments(iter(batches()), INPUTS) for row in batch.to_pylist()
    )
    assert sorted(found) == [0, 1, 2, 3]
    for number, seen in enumerate(SEEN.values()):
        for which, split in ((plain.TRAIN, "train"), (plain.VAL, "val")):
            chosen = (split == SPLITS) & (np.arange(12) > 0)
            mine = np.column_stack([seen, np.ones(12)])[chosen].astype(float)
            share = weights[chosen, None]
            moments = Moments.of_flat(found[2 * number + which], 4)
            assert moments.count == chosen.sum()
            np.testing.assert_allclose(moments.xx, mine.T @ (share * mine), rtol=1e-5)
            np.testing.assert_allclose(
                moments.xy, mine.T @ (share * Y[chosen]), rtol=1e-4, atol=1e-6
            )
            np.testing.assert_allclose(moments.yy, (share * Y[chosen] ** 2).sum(axis=0), rtol=1e-5)


def test_weights_are_applied_to_what_each_model_sees_of_tested_items_and_the_last_added() -> None:
    weights = {model: RNG.standard_normal((seen.shape[1] + 1, 4)) for model, seen in SEEN.items()}
    predicted = plain.apply_weights(iter(batches()), INPUTS, weights)
    found = pa.Table.from_batches(predicted, plain.PREDICTED).to_pylist()
    for model, seen in SEEN.items():
        rows = [row for row in found if row["model"] == model]
        assert [row["item"] for row in rows] == [3, 7, 11]
        expected = seen[[3, 7, 11]] @ weights[model][:-1] + weights[model][-1]
        np.testing.assert_allclose([row["factors"] for row in rows], expected, rtol=1e-4, atol=1e-5)
