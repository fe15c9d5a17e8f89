"""Lists filled up with what is popular, beside a loop over users."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emberline.cf import listing
from emberline.cf.entries import Entries
from emberline.cf.listing import Mix, Places, Popular

Pairs = set[tuple[int, int]]
ids = st.integers(0, 9)
pairs = st.sets(st.tuples(ids, ids), max_size=40)


def entries(chosen: Pairs) -> Entries:
    rows, columns = np.array(sorted(chosen), np.int32).reshape(-1, 2).T
    return Entries(rows.copy(), columns.copy())


def popular_of(items: list[int]) -> Popular:
    """In two parts, as ratings are counted."""
    parts = [np.unique(items[at::2], return_counts=True) for at in range(2)]
    found, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Popular.of(found.astype(np.int32), counts)


def by_loop(wanted: list[int], given_: Pairs, seen: Pairs, items: list[int], k: int) -> Pairs:
    ordered = sorted(Counter(items).items(), key=lambda pair: (-pair[1], pair[0]))
    found: Pairs = set()
    for user in wanted:
        free = k - sum(other == user for other, _ in given_)
        unknown = [item for item, _ in ordered if (user, item) not in seen | given_]
        found |= {(user, item) for item in unknown[: max(free, 0)]}
    return found


@pytest.mark.parametrize("cells", [1, 20, 1 << 20])
@given(wanted=st.sets(ids, min_size=1), best=pairs, seen=pairs, items=st.lists(st.integers(0, 12)))
def test_free_places_are_filled_with_the_most_popular_that_are_new_to_a_user(
    cells: int, wanted: set[int], best: Pairs, seen: Pairs, items: list[int]
) -> None:
    k, users = 4, sorted(wanted)
    taken: Pairs = set()
    for user in users:  # a list has at most k items, none of them seen
        own = sorted(pair for pair in best - seen if pair[0] == user)
        taken |= set(own[:k])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_CELLS", cells)
        rows = entries(taken)
        zeros = np.zeros(len(taken), np.float32)
        found = listing.filling(
            np.array(users, np.int32),
            Places(rows.rows, rows.columns, zeros, zeros.astype(np.int32)),
            entries(seen),
            popular_of(items),
            Mix.of(k, {"als": 0.0}, "popular"),
        )
    filled = list(zip(found.users.tolist(), found.items.tolist(), strict=True))
    assert len(filled) == len(set(filled))
    assert set(filled) == by_loop(users, taken, seen, items, k)
    counts = Counter(items)
    assert found.scores.tolist() == [counts[item] for _, item in filled]


def test_items_are_popular_by_their_ratings_ties_by_the_smaller_index() -> None:
    popular = popular_of([7, 3, 9, 7, 3, 2])
    assert popular.items.tolist() == [3, 7, 2, 9]
    assert popular.counts.tolist() == [2, 2, 1, 1]
    assert popular.place_of(np.array([9, 2, 5, 100], np.int32)).tolist() == [3, 2, -1, -1]


def test_a_share_of_the_places_is_rounded_half_up() -> None:
    shares = {"als": 0.0, "cnn": 0.29, "item-neighbors": 0.1}
    assert Mix.of(50, shares, "popular").places == (0, 15, 5)
    assert Mix.of(4, shares, "popular").places == (0, 1, 0)
