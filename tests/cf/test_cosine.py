"""Neighbours of one matrix, beside scikit-learn's cosine and a sort."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.sparse as sp
from sklearn.metrics.pairwise import cosine_similarity

from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.similarity import Damping, Nearest
from emberline.cf.entries import Entries

Matrix = npt.NDArray[np.float64]
STEP = 3  # ids have gaps
TWINS = (7, 5)
NONE = Damping()


def matrix_of(seed: int, density: float, low: int, high: int) -> Matrix:
    """Whole numbers, of which ties come; twins, and a row of zeros."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((60, 90)) < density) * rng.integers(low, high, (60, 90)).astype(np.float64)
    dense[TWINS[0]] = dense[TWINS[1]]
    dense[9] = 0
    return dense


MATRICES = {
    "sparse stars": matrix_of(1, 0.05, 1, 6),
    "stars": matrix_of(2, 0.3, 1, 6),
    "events, full of ties": matrix_of(3, 0.1, 1, 2),
    "both signs": matrix_of(4, 0.2, -2, 3),
}


def found_in(dense: Matrix, top_k: int, damping: Damping = NONE) -> Nearest:
    """Of every other row, among all; the entries are handed over in no order."""
    rows, terms = np.nonzero(dense)
    order = np.random.default_rng(0).permutation(len(rows))
    values = dense[rows, terms][order].astype(np.float32)
    matrix = (
        Entries(rows[order].astype(np.int32), terms[order].astype(np.int32), values)
        .matrix(len(dense))
        .astype(float)
    )
    matrix.data /= np.repeat(cosine.lengths(matrix), np.diff(matrix.indptr))
    ids = np.arange(len(dense), dtype=np.int32) * STEP
    return cosine.nearest(matrix[::2], sp.csr_matrix(matrix.T), ids[::2], ids, top_k, damping)


def brute_force(dense: Matrix, top_k: int, damping: Damping = NONE) -> list[tuple[int, int, Any]]:
    common = (dense != 0).astype(float) @ (dense != 0).T
    damped = (
        cosine_similarity(dense)
        * common
        / np.maximum(common + damping.shrinkage, 1)
        * (common >= damping.min_support)
    )
    np.fill_diagonal(damped, 0)
    found = []
    for row in range(0, len(dense), 2):
        order = sorted(
            range(len(dense)), key=lambda other: (-np.round(damped[row, other], 9), other)
        )
        chosen = [other for other in order if damped[row, other] > 1e-9][:top_k]
        found += [
            (row * STEP, other * STEP, pytest.approx(damped[row, other], abs=1e-6))
            for other in chosen
        ]
    return found


def triples(found: Nearest) -> list[tuple[int, int, float]]:
    return list(
        zip(found.rows.tolist(), found.neighbors.tolist(), found.similarities.tolist(), strict=True)
    )


@pytest.mark.parametrize("name", list(MATRICES))
@pytest.mark.parametrize("top_k", [1, 3, 20, 100])
def test_neighbors_are_scikit_learns_and_ties_go_to_the_smaller_id(name: str, top_k: int) -> None:
    assert triples(found_in(MATRICES[name], top_k)) == brute_force(MATRICES[name], top_k)


@pytest.mark.parametrize("name", list(MATRICES))
@pytest.mark.parametrize("damping", [Damping(5.0), Damping(0.0, 3), Damping(2.5, 2)], ids=str)
def test_support_shrinks_before_the_best_are_chosen(name: str, damping: Damping) -> None:
    assert triples(found_in(MATRICES[name], 4, damping)) == brute_force(MATRICES[name], 4, damping)


def test_ties_past_the_end_of_every_list_are_found() -> None:
    """Fifty equal rows: any of them would do for a heap, the smallest ids are wanted."""
    found = found_in(np.ones((50, 2)), 2)
    assert triples(found)[:4] == [(0, 3, 1), (0, 6, 1), (6, 0, 1), (6, 3, 1)]
    assert {(row, other) for row, other, _ in triples(found)[2:]} == {
        (row, other) for row in range(6, 150, 6) for other in (0, 3)
    }


def test_similarities_that_only_rounding_tells_from_zero_are_none() -> None:
    found = found_in(np.array([[0.1, 0.3, 0.0], [0.0, 0.0, 1.0], [0.3, -0.1, 0.0]]), 5)
    assert triples(found) == []


def test_an_empty_product_has_no_neighbors() -> None:
    nothing = sp.csr_matrix((3, 4))
    ids = np.arange(3, dtype=np.int32)
    assert triples(cosine.nearest(nothing, sp.csr_matrix(nothing.T), ids, ids, 2, Damping())) == []


def test_more_than_a_hundred_thousand_common_terms_keep_their_digits() -> None:
    """Counts and similarities share one sum."""
    left = np.random.default_rng(5).random((3, 150_000))
    unit = sp.csr_matrix(left / np.linalg.norm(left, axis=1, keepdims=True))
    damped = cosine.similarities(unit, sp.csr_matrix(unit.T), Damping(1000.0)).toarray()
    assert damped == pytest.approx(cosine_similarity(left) * 150 / 151, abs=1e-7)


# --------------------------------------------------------------------------------------------------
# terms


def entries_of(num_rows: int, num_terms: int) -> Entries:
    rows, terms = (part.ravel().astype(np.int32) for part in np.mgrid[:num_rows, :num_terms])
    return Entries(rows, terms, np.ones(len(rows), np.float32))


def test_a_cap_keeps_so_many_of_each_term_whatever_their_order() -> None:
    entries = entries_of(100, 7)
    order = np.random.default_rng(1).permutation(len(entries.rows))
    mixed = entries.take(order)
    kept, again = (
        one.take(cosine.sampled(one, one.columns, 10, seed=3)) for one in (entries, mixed)
    )
    pairs = [
        set(zip(one.rows.tolist(), one.columns.tolist(), strict=True)) for one in (kept, again)
    ]
    assert pairs[0] == pairs[1]
    assert np.bincount(kept.columns).tolist() == [10] * 7
    assert cosine.sampled(entries, entries.columns, 100, seed=3).all()


def test_a_cap_is_fair_and_another_seed_chooses_others() -> None:
    entries = entries_of(50, 2000)
    kept = [entries.take(cosine.sampled(entries, entries.columns, 10, seed)) for seed in (1, 2)]
    counts = np.bincount(kept[0].rows)
    assert abs(counts - 400).max() < 5 * np.sqrt(400)
    first, second = (set(zip(one.rows.tolist(), one.columns.tolist(), strict=True)) for one in kept)
    assert len(first & second) / len(first) == pytest.approx(0.2, abs=0.02)


def test_values_are_centered_within_their_group() -> None:
    values, groups = np.array([1, 2, 6, 5], np.float32), np.array([0, 2, 0, 2], np.int32)
    assert cosine.centered(values, groups).tolist() == [-2.5, -1.5, 2.5, 1.5]


def textbook_bm25(dense: Matrix) -> Matrix:
    """With loops, as in Robertson and Zaragoza (2009)."""
    lengths = dense.sum(axis=1)
    weights = np.zeros_like(dense)
    for row, term in zip(*np.nonzero(dense), strict=True):
        idf = np.log(len(dense) / (1 + (dense[:, term] > 0).sum()))
        norm = 1 - 0.75 + 0.75 * lengths[row] / lengths.mean()
        weights[row, term] = dense[row, term] * 2.2 / (1.2 * norm + dense[row, term]) * max(idf, 0)
    return weights


def test_bm25_is_the_textbooks() -> None:
    dense = np.random.default_rng(2).poisson(0.6, (20, 9)).astype(np.float64)
    dense[:, 0] = 2  # says nothing: every row has it
    rows, terms = (part.astype(np.int32) for part in np.nonzero(dense))
    values = dense[rows, terms].astype(np.float32)
    weights = cosine.frequencies(
        values, rows, "bm25", dense.sum() / 20
    ) * cosine.inverse_frequencies(terms, 20)
    assert weights == pytest.approx(textbook_bm25(dense)[rows, terms], rel=1e-6)


def test_tf_idf_is_a_root_times_a_logarithm() -> None:
    values, rows, terms = (
        np.array([4, 9], np.float32),
        np.array([0, 1], np.int32),
        np.array([0, 1], np.int32),
    )
    weights = cosine.frequencies(values, rows, "tf-idf", 1.0) * cosine.inverse_frequencies(terms, 8)
    assert weights == pytest.approx([2 * np.log(4), 3 * np.log(4)], rel=1e-6)
