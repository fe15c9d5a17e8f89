"""The k best of each row, beside Python's own sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from emberline.cf.entries import Entries
from emberline.cf.topk import Excluded, TopK, lists, merge

NOTHING = -np.inf
Best = list[tuple[int, int, float]]

few_values = st.sampled_from([NOTHING, -2.0, -1.0, 0.0, 0.5, 1.0])
matrices = arrays(
    np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=few_values
)
few_examples = settings(max_examples=150, deadline=None, derandomize=True)


def sorted_best(scores: np.ndarray, k: int) -> Best:
    """Row, column and score of the k best of each row, by sorting everything."""
    best: Best = []
    for row, values in enumerate(scores.tolist()):
        candidates = sorted(
            (-value, column) for column, value in enumerate(values) if value != NOTHING
        )
        best += [(row, column, -negative) for negative, column in candidates[:k]]
    return best


def columns_of(scores: np.ndarray, first: int = 0) -> np.ndarray:
    return np.arange(first, first + scores.shape[1], dtype=np.int32)


def found_best(scores: np.ndarray, k: int, floor: float = NOTHING) -> Best:
    best = TopK(len(scores), k, floor)
    best.add(0, scores, columns_of(scores))
    return listed(best.keys)


def listed(keys: np.ndarray) -> Best:
    """Row, column and score of lists whose ranks are 1, 2, 3, ... in every row."""
    rows, columns, scores, ranks = (array.tolist() for array in lists(keys))
    assert ranks == [rows[: place + 1].count(row) for place, row in enumerate(rows)]
    return list(zip(rows, columns, scores, strict=True))


@given(scores=matrices, k=st.integers(1, 12))
@few_examples
def test_the_best_are_those_of_a_sort(scores: np.ndarray, k: int) -> None:
    assert found_best(scores, k) == sorted_best(scores, k)


def test_random_scores_without_ties_come_in_descending_order() -> None:
    scores = np.random.default_rng(1).standard_normal((20, 300)).astype(np.float32)
    assert found_best(scores, 7) == sorted_best(scores, 7)


def test_ties_go_to_the_smaller_column() -> None:
    scores = np.array([[1, 2, 1, 2, 1, 2]], np.float32)
    assert found_best(scores, 4) == [(0, 1, 2), (0, 3, 2), (0, 5, 2), (0, 0, 1)]


def test_of_equal_scores_the_first_columns_win() -> None:
    assert found_best(np.full((2, 6), 0.25, np.float32), 3) == [
        (row, column, 0.25) for row in (0, 1) for column in (0, 1, 2)
    ]


@pytest.mark.parametrize("k", [3, 4, 100])
def test_a_k_of_the_row_or_more_gives_the_whole_row(k: int) -> None:
    assert found_best(np.array([[0, 2, 1]], np.float32), k) == [(0, 1, 2), (0, 2, 1), (0, 0, 0)]


def test_what_is_no_candidate_does_not_fill_a_short_list() -> None:
    scores = np.array(
        [[NOTHING, 1, NOTHING, NOTHING], [NOTHING] * 4, [3, NOTHING, 4, NOTHING]], np.float32
    )
    assert found_best(scores, 3) == [(0, 1, 1), (2, 2, 4), (2, 0, 3)]


def test_of_many_equal_and_sorted_scores_too_the_best_are_those_of_a_sort() -> None:
    """Wide enough for scores to be looked at by groups of columns."""
    rng = np.random.default_rng(1)
    rows = [
        np.zeros(1500),
        np.arange(1500),
        -np.arange(1500),
        rng.integers(0, 3, 1500),
        rng.standard_normal(1500),
    ]
    rows.append(np.where(rng.random(1500) < 0.99, NOTHING, 1.0))
    scores = np.array(rows, np.float32)
    for k in (1, 10, 100, 800):
        assert found_best(scores, k) == sorted_best(scores, k)


def test_zeros_of_both_signs_are_equal() -> None:
    assert found_best(np.array([[-0.0, 0.0, -0.0]], np.float32), 3) == [
        (0, 0, 0),
        (0, 1, 0),
        (0, 2, 0),
    ]


def test_scores_at_the_floor_are_no_candidates() -> None:
    scores = np.array([[0, 1, -1, -0.0, 1e-30]], np.float32)
    expected = [(0, 1, 1), (0, 4, pytest.approx(1e-30))]
    assert found_best(scores, 4, floor=0) == expected
    backwards = TopK(1, 4, floor=0)
    for column in reversed(range(5)):
        backwards.add(0, scores[:, [column]], np.array([column], np.int32))
    assert listed(backwards.keys) == expected


@given(
    scores=matrices,
    k=st.integers(1, 12),
    cut=st.integers(1, 8),
    is_turned=st.booleans(),
    is_split=st.booleans(),
)
@few_examples
def test_pieces_in_any_order_have_the_best_of_all(
    scores: np.ndarray, k: int, cut: int, is_turned: bool, is_split: bool
) -> None:
    """Columns are cut at `cut`, rows at 2; the pieces are added to one list, or to two that are
    then merged.
    """
    pieces = [
        (part, first) for part, first in ((scores[:, :cut], 0), (scores[:, cut:], cut)) if part.size
    ]
    found = [TopK(len(scores), k) for _ in range(2)]
    for number, (part, first) in enumerate(reversed(pieces) if is_turned else pieces):
        for row in range(0, len(scores), 2):
            found[number if is_split else 0].add(row, part[row : row + 2], columns_of(part, first))
    assert listed(merge(found[0].keys, found[1].keys)) == sorted_best(scores, k)


def test_excluded_pairs_and_no_others_are_masked() -> None:
    row_ids, column_ids = np.array([2, 5, 9], np.int32), np.array([10, 11, 20], np.int32)
    pairs = [(2, 11), (9, 10), (9, 20), (9, 15), (9, 0), (3, 10), (1, 11), (12, 20), (5, 99)]
    excluded = Excluded(row_ids, Entries(*np.array(pairs, np.int32).T).block())
    expected = [[0, NOTHING, 0], [0, 0, 0], [NOTHING, 0, NOTHING]]
    for first, stop in ((0, 3), (0, 1), (1, 3), (2, 3)):
        scores = np.zeros((stop - first, 3), np.float32)
        excluded.mask(first, scores, column_ids)
        assert scores.tolist() == expected[first:stop]


@given(scores=matrices, seed=st.integers(0, 1000))
@few_examples
def test_the_best_of_what_is_left_are_those_of_a_sort_without_the_excluded(
    scores: np.ndarray, seed: int
) -> None:
    excluded = np.argwhere(np.random.default_rng(seed).random(scores.shape) < 0.4).astype(np.int32)
    left = scores.copy()
    row_ids, column_ids = (5 * np.arange(size, dtype=np.int32) for size in scores.shape)
    Excluded(row_ids, Entries(5 * excluded[:, 0], 5 * excluded[:, 1]).block()).mask(
        0, left, column_ids
    )
    gone = {tuple(pair) for pair in excluded.tolist()}
    assert found_best(left, 4) == [
        kept
        for row in range(len(scores))
        for kept in [
            best
            for best in sorted_best(scores, scores.shape[1])
            if best[0] == row and best[:2] not in gone
        ][:4]
    ]
