"""The k best columns of each row of a score matrix that is seen piece by piece, exactly, ties
broken by the smaller column.

A row's best are kept as keys: 64-bit numbers in the order of the lists. The upper half is the
score, turned so that a larger score is a smaller number, the lower half the column. So one sort of
numbers sorts a list, and merges two.
"""

import numpy as np
import numpy.typing as npt

from emberline.cf.blocks import Block
from emberline.numeric.arrays import Float32, Int32, Int64

Keys = npt.NDArray[np.uint64]

_SIGN = np.uint32(1 << 31)
_NO_COLUMN = np.uint32(2**32 - 1)
# the share of scores above the bound from which on it pays to raise the bound first
_CROWDED = 1 / 16
_GROUPS = 128


class TopK:
    """The `k` best columns of each of `num_rows` rows, of the scores above `floor` that were added.

    keys: (num_rows, k) uint64, each row ascending: its best first, at the end what stands for no
    column.
    """

    def __init__(self, num_rows: int, k: int, floor: float = -np.inf) -> None:
        nothing = _to_keys(np.array([floor], np.float32), np.array([_NO_COLUMN]))
        self.keys = np.full((num_rows, k), nothing, np.uint64)
        self._floor = np.float32(floor)
        self._last = np.full(num_rows, -1, np.int64)  # the largest column added to each row

    def add(self, first_row: int, scores: Float32, columns: Int32) -> None:
        """Take in the scores (m, n) of the rows from `first_row` on, `-inf` where is no
        candidate; columns: (n,) ascending.
        """
        rows = slice(first_row, first_row + len(scores))
        bound = _scores(self.keys[rows, -1])
        # then a score equal to the k-th best comes too late
        is_later = self._last[rows] < columns[0]
        bound = np.where(
            is_later, bound, np.maximum(np.nextafter(bound, np.float32(-np.inf)), self._floor)
        )
        self._last[rows] = np.maximum(self._last[rows], columns[-1])
        row, place = _above(scores, bound, self.keys.shape[1])
        self.keys[rows] = _merged(
            self.keys[rows], row, _to_keys(scores[row, place], columns[place])
        )


def lists(keys: Keys) -> tuple[Int64, Int32, Float32, Int32]:
    """Row, column, score and rank from 1 of all that keys (m, k) hold, by row and rank: four
    arrays of the same length.
    """
    row, place = np.nonzero((keys & np.uint64(_NO_COLUMN)) != _NO_COLUMN)
    kept = keys[row, place]
    return row, kept.astype(np.uint32).astype(np.int32), _scores(kept), (place + 1).astype(np.int32)


def merge(keys: Keys, others: Keys) -> Keys:
    """The k best of each row of lists (m, k) and others (m, any number)."""
    both = np.concatenate([keys, others], axis=1)
    both.sort(axis=1)
    return both[:, : keys.shape[1]]


def _above(scores: Float32, bound: Float32, k: int) -> tuple[Int64, Int64]:
    """Row and column of the scores (m, n) above their row's bound (m,); where these are many,
    of fewer, with the k best.
    """
    places = np.flatnonzero(scores > bound[:, None])
    if len(places) > _CROWDED * scores.size:
        places = np.flatnonzero(scores > np.maximum(bound, _below_kth(scores, k))[:, None])
    row = places // scores.shape[1]
    return row, places - row * scores.shape[1]


def _below_kth(scores: Float32, k: int) -> Float32:
    """For each row a number a little below a score that at least k of its scores (m, n) reach:
    (m,), `-inf` if n is too small.

    The k-th largest of the maxima of disjoint groups is such a score, and cheap to find; strided
    groups suit sorted columns.
    """
    groups = max(_GROUPS, 4 * k)
    if 2 * groups > scores.shape[1]:
        return np.full(len(scores), -np.inf, np.float32)
    whole = scores[:, : scores.shape[1] // groups * groups]
    maxima = whole.reshape(len(scores), -1, groups).max(axis=1)
    return np.nextafter(
        np.partition(maxima, groups - k, axis=1)[:, groups - k], np.float32(-np.inf)
    )


def _merged(keys: Keys, row: Int64, added: Keys) -> Keys:
    """The k best of each row of lists (m, k) and of more keys (n,), whose rows (n,) are
    ascending.
    """
    counts = np.bincount(row, minlength=len(keys))
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    others = np.full((len(keys), counts.max()), np.iinfo(np.uint64).max, np.uint64)
    others[row, place] = added
    return merge(keys, others)


def _to_keys(scores: Float32, columns: npt.NDArray[np.integer]) -> Keys:
    bits = (scores + np.float32(0)).view(np.uint32)  # -0.0 becomes 0.0: they are equal
    descending = np.where(bits & _SIGN, bits, ~(bits | _SIGN))
    return (descending.astype(np.uint64) << np.uint64(32)) | columns.astype(np.uint64)


def _scores(keys: Keys) -> Float32:
    descending = (keys >> np.uint64(32)).astype(np.uint32)
    scores: Float32 = np.where(descending & _SIGN, descending, ~descending & ~_SIGN).view(
        np.float32
    )
    return scores


class Excluded:
    """Pairs of row and column that are no candidates, of rows whose ids (m,) are ascending.

    pairs: a sparse block whose entries are (row id, column id).
    """

    def __init__(self, row_ids: Int32, pairs: Block) -> None:
        self._rows, self._pairs = row_ids.astype(np.int64) << 32, pairs.places()

    def mask(self, first_row: int, scores: Float32, columns: Int32) -> None:
        """Set to -inf, in place, those of the scores (m, n) of the rows from `first_row` on;
        columns: (n,) ascending.
        """
        rows = self._rows[first_row : first_row + len(scores)]
        start, stop = (
            np.searchsorted(self._pairs, rows | int(column))
            for column in (columns[0], columns[-1] + 1)
        )
        counts = stop - start
        pair = np.arange(counts.sum()) + np.repeat(start - np.cumsum(counts) + counts, counts)
        place = _places(columns)[(self._pairs[pair] & 0xFFFFFFFF) - columns[0]]
        found = place >= 0
        scores[np.repeat(np.arange(len(scores)), counts)[found], place[found]] = -np.inf


def _places(columns: Int32) -> Int64:
    """Of each number from the first to the last column, where it stands among the columns (n,);
    -1 if it does not.
    """
    places = np.full(columns[-1] - columns[0] + 1, -1, np.int64)
    places[columns - columns[0]] = np.arange(len(columns))
    return places
