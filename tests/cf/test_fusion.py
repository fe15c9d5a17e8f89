"""What a network predicts from pictures, added to what is said of items: as far as it proves
itself, beside sums by hand.
"""

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf.blocks import dense_block
from emberline.cf.content import fusion
from emberline.cf.content.fusion import Held
from emberline.cf.content.model import Pictures
from emberline.cf.content.selection import Judges
from emberline.datasets.schema import TABLES

ITEMS, RANK, USERS = 150, 6, 60
FACTORS = TABLES["content_factors"]


def held(seen: str, seed: int = 6) -> Held:
    """Of taste in six directions words see the first three, and pictures the others, or none."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(ITEMS, RANK))
    users = rng.normal(size=(USERS, RANK)).astype(np.float32)
    scores = users @ true.T
    liked_by, liked = np.nonzero(scores > np.quantile(scores, 0.9, axis=1)[:, None])
    noise = 0.7 * rng.normal(size=(ITEMS, RANK))
    words = true * [1, 1, 1, 0, 0, 0] + noise
    pictures = {
        "taste": true * [0, 0, 0, 1, 1, 1] + noise + 5.0,
        "noise": rng.normal(size=(ITEMS, RANK)),
    }[seen]
    judges = Judges(dense_block(np.arange(USERS, dtype=np.int32), users), liked_by, liked)
    has_picture = np.arange(ITEMS) % 10 > 0
    return Held(words.astype(np.float32), pictures.astype(np.float32), has_picture, judges)


def test_pictures_of_taste_are_added_and_by_that_ranking_is_better() -> None:
    whole = held("taste")
    pictures, proof = fusion.weighed(whole, seed=1)
    assert pictures is not None and proof.is_used and proof.z > 5 and proof.gain > 0.05
    assert pictures.weight >= 0.5
    np.testing.assert_allclose(pictures.mean, whole.seen[whole.has_picture].mean(axis=0))
    alone = Held(0 * whole.said, whole.seen, whole.has_picture, whole.judges)
    own = np.arange(ITEMS)
    words, both = whole.area(Pictures(0.0, pictures.mean), own), whole.area(pictures, own)
    assert both == pytest.approx(words + proof.gain)
    assert both > max(words, alone.area(pictures, own))


def test_of_pictures_that_say_nothing_next_to_none_are_added_and_those_hardly_count() -> None:
    found = [fusion.weighed(held("noise", seed), seed=1) for seed in range(6)]
    used = [pictures for pictures, _ in found if pictures is not None]
    assert len(used) <= 1 and all(pictures.weight <= 0.1 for pictures in used)
    assert all(proof.gain < 0.005 for _, proof in found)


def test_all_are_predicted_by_both_and_by_what_is_said_and_some_have_no_picture() -> None:
    said = pa.table({"item": pa.array([3, 9000], pa.int32()), "factors": [[1.0, 2.0], [3.0, 4.0]]})
    seen = pa.table({"item": pa.array([3, 8000], pa.int32()), "factors": [[5.0, 1.0], [0.0, 0.0]]})
    answers = [
        batch
        for table, is_seen in ((seen, True), (said, False))
        for batch in fusion.as_answers(iter(table.to_batches()), is_seen)
    ]
    pictures = Pictures(0.5, np.array([1.0, 1.0], np.float32))
    added = fusion.add(iter(answers), pictures, "both", "words", FACTORS)
    found = {
        (row["model"], row["item"]): row["factors"] for batch in added for row in batch.to_pylist()
    }
    assert found == {
        ("words", 3): [1.0, 2.0],
        ("words", 9000): [3.0, 4.0],
        ("both", 3): [3.0, 2.0],  # 1 + (5 - 1) / 2
        ("both", 9000): [3.0, 4.0],
    }
