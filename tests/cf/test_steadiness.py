"""Neighbours change only where enough people have changed them."""

import numpy as np
import pytest

from emberline.cf.steadiness import ALWAYS, Pairs, begun, count_changes, joined, settled

NAN = np.nan


def pairs(*rows: tuple[int, int, float, float, int]) -> Pairs:
    """Of item, neighbour, similarity now, the one that is shown, and since when."""
    items, others, now, shown, since = zip(*rows, strict=True)
    return Pairs(
        np.array(items, np.int32),
        np.array(others, np.int32),
        np.array(now, np.float32),
        np.array(shown, np.float32),
        np.array(since, np.int64),
    )


@pytest.mark.parametrize("seed", range(5))
def test_changes_are_counted_as_by_hand(seed: int) -> None:
    """Who has both items, and got one of them later than the pair was last shown."""
    rng = np.random.default_rng(seed)
    rows = {(int(u), int(i)): int(t) for u, i, t in rng.integers(0, (20, 8, 9), (90, 3))}
    every = pairs(
        *((i, x, 0.5, NAN, int(rng.integers(-1, 9))) for i in range(0, 8, 2) for x in range(8))
    )
    expected = [
        sum(
            (u, i) in rows and (u, x) in rows and max(rows[u, i], rows[u, x]) > since
            for u in range(20)
        )
        for i, x, since in zip(every.items, every.neighbors, every.since, strict=True)
    ]
    users, items = np.array(list(rows), np.int32).T
    found = count_changes(users, items, np.array(list(rows.values()), np.int64), every)
    assert found.tolist() == expected


def test_a_pair_is_shown_anew_where_enough_people_changed_it_and_stays_where_too_few_did() -> None:
    before = pairs(
        (1, 1, NAN, NAN, 10),  # the list of 1 is shown since 10
        (1, 2, 0.9, 0.5, 10),  # changed by 3
        (1, 3, 0.8, 0.4, 10),  # by 2
        (1, 4, NAN, 0.3, 10),  # by 2: is near no more
        (1, 5, 0.7, NAN, 10),  # by 2: is near now
        (1, 6, 0.6, NAN, 10),  # by 3: is near now
        (1, 7, 0.2, 0.6, 10),  # by nobody
        (2, 2, NAN, NAN, 10),
        (2, 7, 0.9, 0.1, 10),  # by nobody, and nobody changed the list of 2
        (3, 7, 0.9, NAN, ALWAYS),  # never shown, and by 2
    )
    changes = np.array([0, 3, 2, 2, 2, 3, 0, 0, 0, 2])
    found = settled(before, changes, least=3, top_k=9, newest=20)
    expected = [NAN, 0.9, 0.4, 0.3, NAN, 0.6, 0.2, NAN, 0.1, NAN]
    np.testing.assert_allclose(found.shown, expected, rtol=1e-6)
    assert found.since.tolist() == [10, 20, 10, 10, 10, 20, 10, 10, 10, ALWAYS]


def test_lists_have_at_most_top_k_and_the_most_similar_stay() -> None:
    rows = pairs(*((1, other, 0.1 * other, NAN, ALWAYS) for other in range(2, 8)))
    found = settled(rows, np.full(6, 9), least=3, top_k=2, newest=20)
    assert np.flatnonzero(~np.isnan(found.shown)).tolist() == [4, 5]


def test_what_was_never_shown_counts_from_when_the_list_was_first_shown() -> None:
    first = settled(pairs((1, 2, 0.5, NAN, ALWAYS)), np.array([5]), 5, 9, newest=20)
    kept = begun(first, 20)
    assert list(zip(kept.items, kept.neighbors, kept.since, strict=True)) == [
        (1, 1, 20),
        (1, 2, 20),
    ]
    again = joined(pairs((1, 2, 0.6, NAN, ALWAYS), (1, 3, 0.4, NAN, ALWAYS)), kept)
    assert list(zip(again.neighbors, again.since, strict=True)) == [(1, 20), (2, 20), (3, 20)]
    np.testing.assert_allclose(again.shown, [NAN, 0.5, NAN], rtol=1e-6)
    np.testing.assert_allclose(again.now, [NAN, 0.6, 0.4], rtol=1e-6)
