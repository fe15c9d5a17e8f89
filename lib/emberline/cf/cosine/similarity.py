"""Cosine neighbours: the rows of a sparse matrix that point in the most similar directions.

Rows are those that are compared, items or users, and terms what they are compared by, users or
items. Of entries x:

    similarity(i, j) = sum_t x_it x_jt / (|x_i| |x_j|) * n / (n + shrinkage)

with n the number of terms that i and j have in common (Bell, Koren 2007; Koren 2008, equation 2:
few in common say little). The entries are ratings, as they are, less a mean, or weighted:

    center = terms   r_it - mean_t
    center = rows    r_it - mean_i
    tf-idf           sqrt(r_it) idf_t
    bm25             r_it (K1 + 1) / (K1 (1 - B + B length_i / average length) + r_it) idf_t

For items, center = terms is the adjusted cosine of Sarwar et al. (2001), but with |x_i| over all
of i's raters; bm25 is of Robertson and Zaragoza (2009). There, length_i is the sum of i's ratings
and idf_t = log(number of rows / (1 + ratings of t)), but not below 0. These are the formulas of
`implicit` 0.7 and its K1 = 1.2 and B = 0.75; it multiplies BM25's weights as they are, here they
are cosines, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from sparse_dot_topn import sp_matmul_topn, zip_sp_matmul_topn

from emberline.cf.entries import Arrays, Entries
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float32, Float64, Int32, Int64

K1, B = 1.2, 0.75
# candidates beyond those wanted: without them, every tie at the end of a list would be looked at
# again
_SLACK = 8
_ENTRIES = 1 << 22  # of a product, in memory at a time
ZERO = 1e-7  # a similarity up to this may be what rounding has left of 0


@dataclass(frozen=True)
class Nearest(Arrays):
    """Neighbours (n,) and how similar they are."""

    rows: Int32
    neighbors: Int32
    similarities: Float32


Found = TypeVar("Found", bound=Nearest)


@dataclass(frozen=True)
class Damping:
    """What few common terms are worth: see the module, and nothing below `min_support` of them."""

    shrinkage: float = 0.0
    min_support: int = 1

    @property
    def is_none(self) -> bool:
        return self.shrinkage == 0 and self.min_support <= 1


# --------------------------------------------------------------------------------------------------
# terms


def sampled(entries: Entries, groups: Int32, limit: int, seed: int) -> Bool:
    """True for at most `limit` entries of each group (n,), those whose hash of seed, row and term
    is smallest.

    Which they are does not depend on the order of entries, provided that all of a group are here.
    """
    many = np.flatnonzero((np.bincount(groups) > limit)[groups])
    order = many[
        np.lexsort(
            (hashing.of_pairs(entries.rows[many], entries.columns[many], seed), groups[many])
        )
    ]
    place = np.arange(len(order)) - np.searchsorted(groups[order], groups[order])
    keep = np.ones(len(groups), bool)
    keep[order[place >= limit]] = False
    return keep


def in_sample(ids: Int32, one_in: int, seed: int) -> Bool:
    """True for about one in so many ids (n,), chosen by hash."""
    return hashing.one_in(hashing.of_ids(ids, seed), one_in)


def centered(values: Float32, groups: Int32) -> Float32:
    """The values (n,) less the mean of their group (n,), all of which are here."""
    means = np.bincount(groups, values) / np.maximum(np.bincount(groups), 1)
    return (values - means[groups]).astype(np.float32)


def inverse_frequencies(groups: Int32, num_rows: int) -> Float32:
    """`idf` of each entry (n,) by its group, the entries of its term."""
    idf = np.maximum(np.log(num_rows / (1 + np.bincount(groups))), 0)
    return idf.astype(np.float32)[groups]


# --------------------------------------------------------------------------------------------------
# rows


def frequencies(values: Float32, groups: Int32, weighting: str, average_length: float) -> Float32:
    """The part of "tf-idf" or "bm25" that is not `idf`: (n,). A group is a row, all of whose
    entries are here.
    """
    exact = values.astype(np.float64)
    if weighting == "tf-idf":
        return np.sqrt(exact).astype(np.float32)
    norm = 1 - B + B * np.bincount(groups, exact) / average_length
    return (exact * (K1 + 1) / (K1 * norm[groups] + exact)).astype(np.float32)


def rows_of(matrix: sp.csr_matrix) -> Int64:
    """The row of each stored entry (n,)."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def lengths(rows: sp.csr_matrix) -> Float64:
    """The Euclidean length of each row (m,); 1 for rows of zeros, which stay such when they are
    divided by it.
    """
    squares = np.bincount(rows_of(rows), rows.data.astype(np.float64) ** 2, minlength=rows.shape[0])
    return np.where(squares > 0, np.sqrt(squares), 1.0)


# --------------------------------------------------------------------------------------------------
# product


def nearest(
    left: sp.csr_matrix,
    right: sp.csr_matrix,
    row_ids: Int32,
    column_ids: Int32,
    top_k: int,
    damping: Damping,
    threads: int = 1,
) -> Nearest:
    """The `top_k` columns of largest similarity above 0 for each row, but itself; ties go to the
    smaller id.

    left: (m, terms) with rows of length 1, and right: (terms, n) with such columns, float64;
    row_ids: (m,), ascending, and
    column_ids: (n,).

    sparse_dot_topn keeps any of the columns that are equal at the end of its list. Whatever is
    above its last score is in it for sure; where that is not enough, the row is multiplied again,
    whole.
    """
    if not (left.nnz and right.nnz):
        return Nearest(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))
    size = top_k + 1 + _SLACK
    short = _shortlist(left, right, size, damping, threads)
    floor = _floor(short, size)
    sure = _pairs(short, short.data.astype(np.float32) > floor[rows_of(short)], row_ids, column_ids)
    counts = np.bincount(np.searchsorted(row_ids, sure.rows), minlength=len(row_ids))
    is_open = (counts < top_k) & (floor > np.float32(ZERO))
    parts = [sure.take(~is_open[np.searchsorted(row_ids, sure.rows)])]
    for rows in _cut(np.flatnonzero(is_open), right.shape[1]):
        whole = similarities(left[rows], right, damping)
        parts.append(
            _pairs(
                whole,
                whole.data.astype(np.float32) >= floor[rows][rows_of(whole)],
                row_ids[rows],
                column_ids,
            )
        )
    return best(Nearest.joined(parts), top_k)


def _pairs(matrix: sp.csr_matrix, chosen: Bool, row_ids: Int32, column_ids: Int32) -> Nearest:
    """The chosen ones of the matrix's stored entries (n,) as neighbours, but no row with itself."""
    rows, columns = row_ids[rows_of(matrix)[chosen]], column_ids[matrix.indices[chosen]]
    return Nearest(rows, columns, matrix.data[chosen].astype(np.float32)).take(rows != columns)


def _shortlist(
    left: sp.csr_matrix, right: sp.csr_matrix, size: int, damping: Damping, threads: int
) -> sp.csr_matrix:
    """The `size` largest entries of each row of the similarities, or fewer, if what is left out
    is 0.
    """
    if damping.is_none:
        return sp_matmul_topn(left, right, size, threshold=ZERO, n_threads=threads)
    chunks = _cut(np.arange(left.shape[0]), right.shape[1])
    return sp.vstack(
        [zip_sp_matmul_topn(size, [similarities(left[rows], right, damping)]) for rows in chunks],
        format="csr",
    )


def _floor(short: sp.csr_matrix, size: int) -> Float32:
    """For each row (m,), the score above which nothing is missing from its shortlist."""
    lowest = np.full(short.shape[0], np.inf)
    np.minimum.at(lowest, rows_of(short), short.data)
    return np.where(np.diff(short.indptr) < size, ZERO, np.maximum(lowest, ZERO)).astype(np.float32)


def _cut(rows: Int64, num_columns: int) -> Iterator[Int64]:
    """As many rows at a time as make a product that fits."""
    step = max(_ENTRIES // num_columns, 1)
    return (rows[start : start + step] for start in range(0, len(rows), step))


def similarities(left: sp.csr_matrix, right: sp.csr_matrix, damping: Damping) -> sp.csr_matrix:
    """`left @ right`, damped: what has too few common terms is 0.

    One product of complex numbers sums similarities s and counts n together, since the real part of
    (a/2 + i)(b/2 - i) is ab/4 + 1: its sum is n + s/4, and s is between -1 and 1. That takes 1.5
    times as long as a product of real numbers, where a second one takes twice as long, and no sum
    is 0, so that SciPy leaves out none.
    """
    if damping.is_none:
        return left @ right
    both = _with_data(left, left.data / 2 + 1j) @ _with_data(right, right.data / 2 - 1j)
    support = np.rint(both.data.real)
    scores = 4 * (both.data.real - support) * support / (support + damping.shrinkage)
    return _with_data(both, np.where(support >= damping.min_support, scores, 0.0))


def _with_data(matrix: sp.csr_matrix, data: npt.NDArray[np.generic]) -> sp.csr_matrix:
    return sp.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def best(found: Found, top_k: int) -> Found:
    """The `top_k` best of each row, by row, then similarity descending, then neighbour."""
    order = np.lexsort((found.neighbors, -found.similarities, found.rows))
    rows = found.rows[order]
    return found.take(order[np.arange(len(rows)) - np.searchsorted(rows, rows) < top_k])
