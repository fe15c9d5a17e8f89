"""The k best columns of each row of a score matrix, exactly, ties broken by the smaller column."""

import numpy as np
import numpy.typing as npt

from emberline.cf.blocks import Block, Float32, Int32

Rows = npt.NDArray[np.int64]


def top_k(scores: Float32, k: int) -> tuple[Rows, Rows, Float32]:
    """Row, column and score of the k largest of each row, by row, then score descending, then column.

    scores: (m, n) float32, `-inf` where there is no candidate. Returns three arrays of the same length, at most m * k.
    """
    keep = _largest(scores, k) if k < scores.shape[1] else np.ones(scores.shape, bool)
    rows, columns = np.nonzero(keep & (scores > -np.inf))
    best = scores[rows, columns]
    order = np.lexsort((columns, -best, rows))
    return rows[order], columns[order], best[order]


def _largest(scores: Float32, k: int) -> npt.NDArray[np.bool_]:
    """True at exactly k places of each row: all above the k-th largest score, and the first of those equal to it."""
    kth = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k, None]
    above = scores > kth
    equal = scores == kth
    missing = k - above.sum(axis=1, keepdims=True)
    keep: npt.NDArray[np.bool_] = above | (equal & (np.cumsum(equal, axis=1) <= missing))
    return keep


def mask(scores: Float32, row_ids: Int32, column_ids: Int32, excluded: Block) -> None:
    """Set to -inf, in place, the scores of excluded pairs.

    scores: (m, n); row_ids: (m,) and column_ids: (n,), ascending; excluded: a sparse block whose entries are (row id, column id).
    """
    row = _position(row_ids, np.repeat(excluded.ids, np.diff(excluded.indptr)))
    column = _position(column_ids, excluded.indices)
    found = (row >= 0) & (column >= 0)
    scores[row[found], column[found]] = -np.inf


def _position(ids: Int32, wanted: Int32) -> Rows:
    """Where each wanted id stands in the ascending `ids`; -1 where it does not."""
    position = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[position] == wanted, position, -1)


def merge_top_k(rows: Int32, columns: Int32, scores: Float32, k: int) -> tuple[Int32, Int32, Float32, Int32]:
    """The k best of each row among candidates from several blocks: row, column, score and rank from 1, all (n,)."""
    order = np.lexsort((columns, -scores, rows))
    rows, columns, scores = rows[order], columns[order], scores[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    best = rank < k
    return rows[best], columns[best], scores[best], (rank[best] + 1).astype(np.int32)
