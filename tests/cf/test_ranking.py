"""Metrics of blocks of users, counts of items, and lists that are drawn, beside counting."""

from collections import Counter
from itertools import permutations

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf import measures
from emberline.cf.entries import Entries
from emberline.cf.list_metrics import list_names
from emberline.cf.listing import Popular
from emberline.cf.measures import Named
from emberline.cf.pieces import EXCLUDED
from emberline.cf.ranking import (
    COUNTED,
    LISTED,
    OF_LISTS,
    RELEVANT,
    Catalogue,
    ItemCounts,
    Question,
    drawn,
    gini,
    measure,
    subsets,
)
from emberline.cf.sums import decoded
from emberline.flow.here import HereShared

ITEMS = np.array([2, 3, 5, 8, 9], np.int32)
POPULAR = Popular.ranked(ITEMS, np.array([5, 4, 3, 2, 1], np.float32))


def pieces(kind: str, *rows: tuple[int, int, float]) -> list[pa.RecordBatch]:
    """Of one block."""
    users, items, values = zip(*rows, strict=True)
    entries = Entries(
        np.array(users, np.int32), np.array(items, np.int32), np.array(values, np.float32)
    )
    return list(entries.pieces(np.zeros(len(rows), np.int32), kind))


def test_users_without_hits_are_measured_and_items_in_lists_are_counted() -> None:
    """Users 30 and 10 have 2 and 1 relevant items; 30 has hits at ranks 1 and 3, 10 at rank 2,
    20 none; 40 wants nothing.
    """
    wanted = [(30, 2), (30, 3), (10, 5), *((20, item) for item in (2, 3, 8, 9))]
    lists = [(30, 2, 1), (30, 9, 2), (30, 3, 3), (10, 9, 1), (10, 5, 2), (40, 8, 1)]
    batches = [
        *pieces(RELEVANT, *((*pair, 1) for pair in wanted)),
        *pieces(LISTED, *lists),
        *pieces(EXCLUDED, (30, 8, 1)),
    ]
    catalogue = Catalogue(POPULAR, 5, np.empty(0, np.int32), np.empty((0, 1), np.float32))
    blocks = list(measure(iter(batches), Question((2,), seed=1), HereShared(catalogue)))
    named = Named("holdout", ("lists", "popular", "random"), tuple(list_names((2,))))
    rows = pa.Table.from_batches(list(measures.users_only(iter(blocks), named))).to_pylist()
    found = {(row["user"], row["metric"]): row["value"] for row in rows if row["model"] == "lists"}
    log3 = np.log2(3)
    at_2 = {
        30: (1 / 2, 1 / 2, 1 / 2, 1, 1 / (1 + 1 / log3), 1 / 2),
        10: (1 / 2, 1, 1, 1, 1 / log3, 1 / 2),
        20: (0, 0, 0, 0, 0, 0),
    }
    assert {user for user, _ in found} == set(at_2)
    for user, expected in at_2.items():
        assert [found[user, name] for name in list_names((2,))[:6]] == pytest.approx(expected)
    assert {row["weight"] for row in rows} == {1.0}
    sums = decoded(pa.Table.from_batches(list(measures.sums_only(iter(blocks)))).to_pylist())
    assert sums[COUNTED].tolist() == [3]
    counts = ItemCounts.of(sums, OF_LISTS, len(ITEMS), 1)
    # items 2, 3, 5, 8, 9: 3 is at rank 3, and 8 in the list of somebody who is not counted
    assert counts.relevant.tolist() == [2, 2, 1, 1, 1]
    assert counts.listed[:, 0].tolist() == [1, 0, 1, 0, 2]
    assert counts.hits[:, 0].tolist() == [1, 0, 1, 0, 0]


def test_the_gini_coefficient_is_half_the_mean_difference_over_the_mean() -> None:
    """Of all pairs; 0 where all lists hold all items as often, (n - 1) / n where one has all."""
    counts = np.array([7.0, 0, 3, 3, 1, 12])
    pairs = np.abs(counts[:, None] - counts[None, :]).mean()
    assert gini(counts) == pytest.approx(pairs / 2 / counts.mean())
    assert gini(np.full(5, 2.0)) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 9.0])) == pytest.approx(3 / 4)
    assert np.isnan(gini(np.zeros(3)))


@pytest.mark.parametrize("size", [3, 4])
def test_every_ordered_choice_is_as_likely_as_any_other(size: int) -> None:
    chosen = subsets(np.random.default_rng(1), np.full(24_000, size), 3)
    counts = Counter(map(tuple, chosen.tolist()))
    assert counts.keys() == set(permutations(range(size), 3))
    expected = 24_000 / len(counts)
    # chi-squared with 5 or 23 degrees of freedom, 1 in 1000
    deviation = sum((count - expected) ** 2 / expected for count in counts.values())
    assert deviation < {3: 20.5, 4: 49.7}[size]


def test_where_fewer_are_left_all_are_taken() -> None:
    chosen = subsets(np.random.default_rng(1), np.array([0, 1, 2, 9]), 3)
    assert [(row >= 0).sum() for row in chosen] == [0, 1, 2, 3]
    assert sorted(chosen[2].tolist()) == [-1, 0, 1]
    assert chosen[2, 2] == -1


def test_drawn_items_are_popular_ones_that_were_not_seen_each_as_often() -> None:
    """Of five items each user has seen two; what is not popular was seen, too."""
    users = np.arange(0, 9000, 3, dtype=np.int32)
    seen_items = np.array([3, 9, 77], np.int32)
    seen = Entries(np.repeat(users, 3), np.tile(seen_items, len(users)))
    lists = drawn(users, seen, POPULAR, Question((1, 2), seed=1), block=4)
    assert lists.users.tolist() == np.repeat(users, 2).tolist()
    assert lists.ranks.tolist() == [1, 2] * len(users)
    assert set(lists.items.tolist()) == {2, 5, 8}
    for rank in (1, 2):
        counts = Counter(lists.items[lists.ranks == rank].tolist())
        # 3 standard deviations of a third of 3,000
        assert all(abs(count - 1000) < 3 * (3000 * 2 / 9) ** 0.5 for count in counts.values())
    pairs = lists.items.reshape(-1, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    again = drawn(users, seen, POPULAR, Question((2,), seed=1), block=4)
    other = drawn(users, seen, POPULAR, Question((2,), seed=1), block=5)
    assert (again.items == lists.items).all() and (other.items != lists.items).any()
