"""Metrics of lists beside numbers computed by hand, loops, and scikit-learn."""

import math
from fractions import Fraction

import numpy as np
import pytest
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_distances

from emberline.cf.entries import Entries
from emberline.cf.list_metrics import LIST_METRICS, Judged, list_names, list_values
from emberline.cf.listing import Popular
from emberline.cf.ranking import Catalogue, Lists, _judged, _of

LOG3 = math.log2(3)
RNG = np.random.default_rng(1)
Wanted = dict[int, float]  # relevant items, and what they were rated
NOTHING = Catalogue(
    Popular.of(np.empty(0, np.int32), np.empty(0, np.int64)),
    0,
    np.empty(0, np.int32),
    np.empty((0, 1), np.float32),
)


def judged(relevant: list[Wanted], lists: list[list[int]], catalogue: Catalogue) -> Judged:
    """Of relevant items and lists that are written out; both come in any order."""
    held = [(user, item, value) for user, own in enumerate(relevant) for item, value in own.items()]
    places = [
        (user, item, rank) for user, items in enumerate(lists) for rank, item in enumerate(items, 1)
    ]
    held, places = (
        [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
        for rows in (held, places)
    )
    users, items, values = np.array(held).reshape(-1, 3).T
    entries = Entries(users.astype(np.int32), items.astype(np.int32), values.astype(np.float32))
    own = Lists(*np.array(places, np.int32).reshape(-1, 3).T)
    everybody = np.arange(len(relevant), dtype=np.int32)
    return _judged(everybody, entries, _of(everybody, own), catalogue)


def measure(
    relevant: list[set[int]], lists: list[list[int]], k: int, names: tuple[str, ...]
) -> np.ndarray:
    """(users, names), where everything relevant was rated 1."""
    found = judged([dict.fromkeys(items, 1.0) for items in relevant], lists, NOTHING)
    return np.column_stack([LIST_METRICS[name](found, k) for name in names])


HITS = (
    "precision@{k}",
    "recall@{k}/n",
    "recall@{k}/min(k,n)",
    "hit_rate@{k}",
    "ndcg@{k}",
    "map@{k}/min(k,n)",
    "mrr@{k}",
)


def naive(relevant: set[int], items: list[int], k: int) -> list[float]:
    """The definitions of HITS, for one user, with loops."""
    hits = [item in relevant for item in items[:k]] + [False] * max(0, k - len(items))
    found, reachable = sum(hits), min(k, len(relevant))
    gain = sum(hit / math.log2(rank + 1) for rank, hit in enumerate(hits, 1))
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, reachable + 1))
    precisions = [Fraction(sum(hits[:rank]), rank) for rank in range(1, k + 1) if hits[rank - 1]]
    return [
        found / k,
        found / len(relevant),
        found / reachable,
        float(found > 0),
        gain / ideal,
        float(sum(precisions) / reachable),
        1 / (hits.index(True) + 1) if found else 0.0,
    ]


def test_two_hits_of_three_at_the_first_and_third_rank() -> None:
    found = measure([{1, 2, 3}], [[1, 9, 2, 8, 7]], 5, HITS)
    gain = (1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2)
    assert found[0].tolist() == pytest.approx([2 / 5, 2 / 3, 2 / 3, 1, gain, (1 + 2 / 3) / 3, 1])


def test_more_relevant_items_than_places() -> None:
    found = measure([{1, 2, 3}], [[1, 9, 2, 8, 7]], 2, HITS)
    expected = [1 / 2, 1 / 3, 1 / 2, 1, 1 / (1 + 1 / LOG3), 1 / 2, 1]
    assert found[0].tolist() == pytest.approx(expected)


def test_a_perfect_list_is_one_but_for_its_empty_places() -> None:
    found = measure([{5}, {1, 2}], [[5], [2, 1]], 2, HITS)
    expected = [pytest.approx([1 / 2, 1, 1, 1, 1, 1, 1]), pytest.approx([1] * 7)]
    assert found.tolist() == expected


def test_a_user_without_hits_or_without_a_list_has_zeros() -> None:
    found = measure([{4, 6}, {1}, {2}], [[1, 2], [1], []], 2, HITS)
    assert found[[0, 2]].tolist() == [[0] * 7] * 2
    assert measure([{1}, {2}], [[], [3]], 3, HITS).tolist() == [[0] * 7] * 2


def test_a_late_hit_counts_less_where_order_counts() -> None:
    early, late = measure([{1}, {1}], [[1, 2, 3], [3, 2, 1]], 3, HITS)
    assert early[:4].tolist() == late[:4].tolist()
    assert late[4:].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 3])
    assert early[4:].tolist() == [1, 1, 1]


@pytest.mark.parametrize("k", [1, 3, 10, 40])
def test_random_lists_measure_as_the_plain_definitions_say(k: int) -> None:
    relevant = [set(RNG.choice(60, RNG.integers(1, 25), replace=False).tolist()) for _ in range(80)]
    lists = [RNG.choice(60, RNG.integers(0, 30), replace=False).tolist() for _ in range(80)]
    expected = [naive(items, ranked, k) for items, ranked in zip(relevant, lists, strict=True)]
    np.testing.assert_allclose(measure(relevant, lists, k, HITS), expected, atol=1e-12)


@pytest.mark.parametrize("k", [1, 4, 30])
def test_graded_and_binary_ndcg_are_scikit_learns(k: int) -> None:
    """Which takes scores of all items, and averages ties: there are none here."""
    items, users = 30, 25
    stars = RNG.integers(0, 6, (users, items)) * (RNG.random((users, items)) < 0.3) / 2
    stars[:, 0] = 3.5
    orders = np.array([RNG.permutation(items) for _ in range(users)])
    scores = np.empty((users, items))
    np.put_along_axis(scores, orders, -np.arange(items)[None, :].repeat(users, 0) * 1.0, axis=1)
    wanted = [{item: float(value) for item, value in enumerate(row) if value > 0} for row in stars]
    found = judged(wanted, orders.tolist(), NOTHING)
    for name, truth in (("graded_ndcg@{k}", stars), ("ndcg@{k}", (stars > 0) * 1.0)):
        expected = [
            ndcg_score(true[None], score[None], k=k)
            for true, score in zip(truth, scores, strict=True)
        ]
        np.testing.assert_allclose(LIST_METRICS[name](found, k), expected, atol=1e-12)


def test_graded_ndcg_is_not_known_where_nothing_has_a_gain() -> None:
    found = judged([{1: 0.0, 2: -1.0}, {1: 2.0, 2: -1.0}], [[1], [2, 1]], NOTHING)
    gains = LIST_METRICS["graded_ndcg@{k}"](found, 5)
    assert np.isnan(gains[0])
    assert gains[1] == pytest.approx(1 / LOG3)


# Items 10, 20, 30, 40 were rated 8, 4, 2 and 1 times by 8 users, 50 never; 20 has no factors.
SHOP = Catalogue(
    Popular.of(np.array([10, 20, 30, 40], np.int32), np.array([8, 4, 2, 1])),
    8,
    np.array([10, 30, 40], np.int32),
    np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32),
)


def of_shop(name: str, relevant: list[Wanted], lists: list[list[int]], k: int) -> list[float]:
    found: list[float] = LIST_METRICS[name](judged(relevant, lists, SHOP), k).tolist()
    return found


def test_popular_items_count_less_for_debiased_recall() -> None:
    """Weights are 1 / sqrt(8), 1 / 2 of item 20, 1 of 40, and 1 of what nobody has rated."""
    relevant = [{10: 1.0, 20: 1.0, 40: 1.0}, {20: 1.0, 50: 1.0}]
    weight = 1 / math.sqrt(8)
    found = of_shop("debiased_recall@{k}", relevant, [[10, 30, 40], [20]], 2)
    assert found == pytest.approx([weight / (weight + 1 / 2 + 1), (1 / 2) / (1 / 2 + 1)])


def test_popularity_and_self_information_are_means_over_what_is_listed() -> None:
    lists = [[10, 30, 50, 40], [20], []]
    relevant: list[Wanted] = [{1: 1.0}] * 3
    assert of_shop("mean_popularity@{k}", relevant, lists, 3) == pytest.approx(
        [(8 + 2 + 0) / 3, 4, math.nan], nan_ok=True
    )
    # 50 counts as rated once
    assert of_shop("self_information@{k}", relevant, lists, 3) == pytest.approx(
        [(0 + 2 + 3) / 3, 1, math.nan], nan_ok=True
    )


def test_diversity_is_the_mean_cosine_distance_of_pairs_with_factors() -> None:
    """Beside scikit-learn's; a list with fewer than two such items has none."""
    lists = [[10, 20, 30, 40, 50], [40, 10], [20, 10], []]
    relevant: list[Wanted] = [{1: 1.0}] * 4
    pairs = cosine_distances(SHOP.vectors)[np.triu_indices(3, 1)]
    assert of_shop("diversity@{k}", relevant, lists, 5) == pytest.approx(
        [pairs.mean(), 0.4, math.nan, math.nan], nan_ok=True
    )


def test_columns_are_named_in_their_order() -> None:
    names = list_names((3, 10))
    assert names[:7] == [name.format(k=3) for name in HITS]
    assert len(names) == 2 * len(LIST_METRICS) and names[len(LIST_METRICS)] == "precision@10"
    found = list_values(judged([{10: 1.0}], [[10, 20]], SHOP), (3, 10))
    assert found.shape == (1, len(names))
    assert found[0, names.index("precision@10")] == 1 / 10
