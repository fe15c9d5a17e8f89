"""The k best of each row, beside Python's own sort."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from emberline.cf.blocks import sparse_block
from emberline.cf.topk import mask, merge_top_k, top_k

NOTHING = -np.inf
Best = list[tuple[int, int, float]]

few_values = st.sampled_from([NOTHING, -2.0, -1.0, 0.0, 0.5, 1.0])
matrices = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=few_values)
few_examples = settings(max_examples=150, deadline=None, derandomize=True)


def sorted_best(scores: np.ndarray, k: int) -> Best:
    """Row, column and score of the k best of each row, by sorting everything."""
    best: Best = []
    for row, values in enumerate(scores.tolist()):
        candidates = sorted((-value, column) for column, value in enumerate(values) if value != NOTHING)
        best += [(row, column, -negative) for negative, column in candidates[:k]]
    return best


def found_best(scores: np.ndarray, k: int) -> Best:
    return [(int(row), int(column), float(score)) for row, column, score in zip(*top_k(scores, k), strict=True)]


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
    assert found_best(np.full((2, 6), 0.25, np.float32), 3) == [(row, column, 0.25) for row in (0, 1) for column in (0, 1, 2)]


@pytest.mark.parametrize("k", [3, 4, 100])
def test_a_k_of_the_row_or_more_gives_the_whole_row(k: int) -> None:
    assert found_best(np.array([[0, 2, 1]], np.float32), k) == [(0, 1, 2), (0, 2, 1), (0, 0, 0)]


def test_what_is_no_candidate_does_not_fill_a_short_list() -> None:
    scores = np.array([[NOTHING, 1, NOTHING, NOTHING], [NOTHING] * 4, [3, NOTHING, 4, NOTHING]], np.float32)
    assert found_best(scores, 3) == [(0, 1, 1), (2, 2, 4), (2, 0, 3)]


@given(scores=matrices, k=st.integers(1, 12), cut=st.integers(1, 8), seed=st.integers(0, 5))
@few_examples
def test_merging_the_best_of_blocks_gives_the_best_of_all(scores: np.ndarray, k: int, cut: int, seed: int) -> None:
    """Blocks are cut at `cut` and come in any order; row ids have gaps, as in Spark."""
    parts = [(*top_k(part, k), first) for part, first in ((scores[:, :cut], 0), (scores[:, cut:], cut)) if part.size]
    rows = np.concatenate([3 * rows + 1 for rows, _, _, _ in parts]).astype(np.int32)
    columns = np.concatenate([columns + first for _, columns, _, first in parts]).astype(np.int32)
    values = np.concatenate([values for _, _, values, _ in parts])
    order = np.random.default_rng(seed).permutation(len(rows))
    merged = merge_top_k(rows[order], columns[order], values[order], k)
    expected = sorted_best(scores, k)
    owners = [row for row, _, _ in expected]
    assert [array.tolist() for array in merged] == [
        [3 * row + 1 for row in owners],
        [column for _, column, _ in expected],
        [score for _, _, score in expected],
        [owners[: place + 1].count(row) for place, row in enumerate(owners)],
    ]


def test_no_candidates_merge_to_nothing() -> None:
    empty = np.empty(0, np.int32)
    assert [len(array) for array in merge_top_k(empty, empty, np.empty(0, np.float32), 3)] == [0, 0, 0, 0]


def test_excluded_pairs_and_no_others_are_masked() -> None:
    row_ids, column_ids = np.array([2, 5, 9], np.int32), np.array([10, 11, 20], np.int32)
    pairs = [(2, 11), (9, 10), (9, 20), (9, 15), (9, 0), (3, 10), (1, 11), (12, 20), (5, 99)]
    rows, columns = np.array(pairs, np.int32).T
    scores = np.zeros((3, 3), np.float32)
    mask(scores, row_ids, column_ids, sparse_block(rows, columns, np.zeros(len(pairs), np.float32)))
    assert scores.tolist() == [[0, NOTHING, 0], [0, 0, 0], [NOTHING, 0, NOTHING]]


@given(scores=matrices, seed=st.integers(0, 1000))
@few_examples
def test_the_best_of_what_is_left_are_those_of_a_sort_without_the_excluded(scores: np.ndarray, seed: int) -> None:
    excluded = np.argwhere(np.random.default_rng(seed).random(scores.shape) < 0.4).astype(np.int32)
    left = scores.copy()
    row_ids, column_ids = (5 * np.arange(size, dtype=np.int32) for size in scores.shape)
    if len(excluded):
        block = sparse_block(5 * excluded[:, 0], 5 * excluded[:, 1], np.zeros(len(excluded), np.float32))
        mask(left, row_ids, column_ids, block)
    gone = {tuple(pair) for pair in excluded.tolist()}
    assert found_best(left, 4) == [
        kept
        for row in range(len(scores))
        for kept in [best for best in sorted_best(scores, scores.shape[1]) if best[0] == row and best[:2] not in gone][:4]
    ]
