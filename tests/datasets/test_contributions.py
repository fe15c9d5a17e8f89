"""What each user adds to counts."""

from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest

from emberline.datasets import contributions
from emberline.datasets.contributions import HASHED
from emberline.numeric.arrays import UInt64

MOST = 5
Pairs = set[tuple[str, str]]


class Given:
    """A value that all tasks have."""

    def __init__(self, value: UInt64) -> None:
        self.value = value


def hashes(ids: list[str]) -> Given:
    batch = pa.record_batch([pa.array(range(len(ids)), pa.int32()), pa.array(ids)], ["i", "id"])
    (found,) = contributions.hash_ids(iter([batch]))
    assert found.schema == HASHED
    return Given(found["hash"].to_numpy().view(np.uint64))


def bounded(rows: Pairs, seed: int) -> Pairs:
    """By outside ids; indices, batches and their order are as the seed has them."""
    rng = np.random.default_rng(seed)
    users, items = (list(rng.permutation(sorted({row[at] for row in rows}))) for at in (0, 1))
    pairs = rng.permutation([(users.index(u), items.index(i)) for u, i in sorted(rows)])
    batches = [
        pa.record_batch([*part.T.astype(np.int32)], ["user", "item"])
        for part in np.array_split(pairs, 3)
    ]
    by_user = contributions.by_user(iter(batches), hashes(users), hashes(items), 1)
    (found,) = contributions.bounded(by_user, MOST)
    return {(users[row["user"]], items[row["item"]]) for row in found.to_pylist()}


def log(seed: int) -> Pairs:
    rng = np.random.default_rng(seed)
    return {(f"u{u}", f"i{int(i)}") for u in range(40) for i in rng.integers(0, 60, u)}


@pytest.mark.parametrize("seed", range(3))
def test_a_user_adds_a_few_of_its_own_items_and_all_of_no_more(seed: int) -> None:
    rows, own, kept = log(seed), defaultdict[str, Pairs](set), defaultdict[str, Pairs](set)
    for row in rows:
        own[row[0]].add(row)
    for row in bounded(rows, seed):
        kept[row[0]].add(row)
    assert {user: len(found) for user, found in kept.items()} == {
        user: min(len(found), MOST) for user, found in own.items()
    }
    assert all(found <= own[user] for user, found in kept.items())


@pytest.mark.parametrize("seed", range(3))
def test_what_others_add_does_not_depend_on_a_user(seed: int) -> None:
    """Without one of them, all others add what they add, whatever the indices are."""
    rows = log(seed)
    every, gone = bounded(rows, seed), "u39"
    without = bounded({row for row in rows if row[0] != gone}, seed + 100)
    assert without == {row for row in every if row[0] != gone}
    assert len(every - without) == MOST


def test_which_of_them_count_is_a_draw() -> None:
    """Of twenty items of each of many, each counts about as often."""
    rows = {(f"u{user}", f"i{item}") for user in range(400) for item in range(20)}
    counts = defaultdict[str, int](int)
    for _, item in bounded(rows, 0):
        counts[item] += 1
    expected = 400 * MOST / 20
    assert set(counts) == {f"i{item}" for item in range(20)}
    assert max(abs(count - expected) for count in counts.values()) < 5 * np.sqrt(expected)
