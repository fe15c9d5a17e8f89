"""Ranking metrics beside numbers computed by hand and beside a plain-Python implementation."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest

from emberline.cf.metrics import Sums, per_class, per_user, protocol, ranking_names

LOG3 = math.log2(3)


def measure(relevant: list[set[int]], lists: list[list[int]], ks: tuple[int, ...]) -> np.ndarray:
    """per_user of relevant items and lists that are written out."""
    places = [
        (user, rank)
        for user, items in enumerate(lists)
        for rank, item in enumerate(items, 1)
        if item in relevant[user]
    ]
    # hits come in any order
    places = [places[i] for i in np.random.default_rng(0).permutation(len(places))]
    users, ranks = np.array(places, np.int32).reshape(-1, 2).T
    return per_user(np.array([len(items) for items in relevant], np.int32), users, ranks, ks)


def naive(relevant: set[int], items: list[int], k: int) -> list[float]:
    """The definitions, for one user, with loops."""
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
    ]


def test_two_hits_of_three_at_the_first_and_third_rank() -> None:
    found = measure([{1, 2, 3}], [[1, 9, 2, 8, 7]], (5,))
    assert found[0].tolist() == pytest.approx(
        [2 / 5, 2 / 3, 2 / 3, 1, (1 + 1 / 2) / (1 + 1 / LOG3 + 1 / 2), (1 + 2 / 3) / 3]
    )


def test_more_relevant_items_than_places() -> None:
    found = measure([{1, 2, 3}], [[1, 9, 2, 8, 7]], (2,))
    assert found[0].tolist() == pytest.approx([1 / 2, 1 / 3, 1 / 2, 1, 1 / (1 + 1 / LOG3), 1 / 2])


def test_a_perfect_list_is_one_but_for_its_empty_places() -> None:
    found = measure([{5}, {1, 2}], [[5], [2, 1]], (2,))
    assert found.tolist() == [pytest.approx([1 / 2, 1, 1, 1, 1, 1]), pytest.approx([1] * 6)]


def test_a_user_without_hits_has_zeros() -> None:
    assert measure([{4, 6}, {1}, {2}], [[1, 2], [1], []], (2,))[[0, 2]].tolist() == [
        [0] * 6,
        [0] * 6,
    ]


def test_no_hits_at_all_are_zeros() -> None:
    assert measure([{1}, {2}], [[], [3]], (1, 3)).tolist() == [[0] * 12] * 2


def test_a_late_hit_counts_less_where_order_counts() -> None:
    early, late = measure([{1}, {1}], [[1, 2, 3], [3, 2, 1]], (3,))
    assert early[:4].tolist() == late[:4].tolist()
    assert late[4:].tolist() == pytest.approx([1 / 2, 1 / 3])
    assert early[4:].tolist() == [1, 1]


def test_random_lists_measure_as_the_plain_definitions_say() -> None:
    rng, ks = np.random.default_rng(1), (1, 3, 10, 40)
    relevant = [
        set(rng.choice(60, size=rng.integers(1, 25), replace=False).tolist()) for _ in range(80)
    ]
    lists = [rng.choice(60, size=rng.integers(0, 30), replace=False).tolist() for _ in range(80)]
    expected = [
        [value for k in ks for value in naive(items, ranked, k)]
        for items, ranked in zip(relevant, lists, strict=True)
    ]
    np.testing.assert_allclose(measure(relevant, lists, ks), expected, atol=1e-12)


def test_columns_are_named_in_their_order() -> None:
    assert ranking_names((3, 10)) == [
        *(
            "precision@3",
            "recall@3/n",
            "recall@3/min(k,n)",
            "hit_rate@3",
            "ndcg@3",
            "map@3/min(k,n)",
        ),
        *(
            "precision@10",
            "recall@10/n",
            "recall@10/min(k,n)",
            "hit_rate@10",
            "ndcg@10",
            "map@10/min(k,n)",
        ),
    ]


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(2).random((101, 3)) * [1, 10, 0] + [0, 5, 0.25]


@pytest.mark.parametrize("cuts", [[50], [1, 2], [0, 30, 30, 101]])
def test_sums_of_parts_merge_to_the_sums_of_all(values: np.ndarray, cuts: list[int]) -> None:
    merged, whole = Sums.empty(3), Sums.of(values)
    for part in np.split(values, cuts):
        merged = merged.merge(Sums.of(part))
    assert merged.count == whole.count == 101
    np.testing.assert_allclose(merged.mean(), whole.mean(), rtol=1e-12)
    np.testing.assert_allclose(
        merged.standard_error(), whole.standard_error(), rtol=1e-9, atol=1e-9
    )


def test_mean_and_standard_error_are_numpys(values: np.ndarray) -> None:
    sums = Sums.of(values)
    np.testing.assert_allclose(sums.mean(), values.mean(axis=0))
    np.testing.assert_allclose(
        sums.standard_error(), values.std(axis=0, ddof=1) / np.sqrt(101), atol=1e-9
    )


def test_nothing_has_no_mean_and_one_value_no_standard_error() -> None:
    assert np.isnan(Sums.empty(2).mean()).all()
    one = Sums.of(np.array([[3.0, 4.0]]))
    assert one.mean().tolist() == [3, 4]
    assert np.isnan(one.standard_error()).all()


def test_classes_are_measured_by_their_row_and_column_of_the_confusion() -> None:
    """Class 1 is never predicted, class 2 never true."""
    confusion = np.array([[6, 0, 2], [3, 0, 1], [0, 0, 0]], np.float64)
    precision, recall = 6 / 9, 6 / 8
    first = [precision, recall, 2 / (1 / precision + 1 / recall)]
    assert per_class(confusion).tolist() == [pytest.approx(first), [0, 0, 0], [0, 0, 0]]


def test_classes_that_are_always_right_measure_one_and_those_always_wrong_zero() -> None:
    assert per_class(np.diag([1.0, 5.0, 2.0])).tolist() == [[1, 1, 1]] * 3
    assert per_class(np.array([[0.0, 3.0], [4.0, 0.0]])).tolist() == [[0, 0, 0]] * 2


def test_each_class_has_the_precision_and_recall_of_its_pairs() -> None:
    rng = np.random.default_rng(3)
    true, predicted = rng.integers(0, 4, 500), rng.integers(0, 4, 500)
    confusion = np.zeros((4, 4))
    np.add.at(confusion, (true, predicted), 1)
    for number, (precision, recall, f1) in enumerate(per_class(confusion).tolist()):
        hits = sum(t == p == number for t, p in zip(true, predicted, strict=True))
        assert precision == pytest.approx(hits / (predicted == number).sum())
        assert recall == pytest.approx(hits / (true == number).sum())
        assert f1 == pytest.approx(
            hits / (hits + ((true == number) != (predicted == number)).sum() / 2)
        )


def test_a_protocols_hash_hangs_on_its_facts_and_not_on_their_order() -> None:
    facts = {"users": "all", "holdout": {"by": "time", "seed": 1}}
    found = protocol("by time", facts)
    assert {key: value for key, value in found.items() if key != "hash"} == {
        "name": "by time",
        **facts,
    }
    assert len(found["hash"]) == 12
    assert (
        protocol("other", {"holdout": {"seed": 1, "by": "time"}, "users": "all"})["hash"]
        == found["hash"]
    )
    assert (
        protocol("by time", {"users": "all", "holdout": {"by": "time", "seed": 2}})["hash"]
        != found["hash"]
    )
    assert json.loads(json.dumps(found)) == found
