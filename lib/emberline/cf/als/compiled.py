"""Ratings as they lie in a block, multiplied with factors by a compiled function (numba, extra
`fast`): nothing is gathered or padded, each rating's factors are read once where a tile's are
written and read twice, and threads do not wait for each other, as they do for NumPy's many small
operations.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any

import numpy as np

from emberline import extras
from emberline.cf.als import grouping
from emberline.cf.als.systems import Tile
from emberline.logs import event
from emberline.numeric.arrays import Float32, Int32, Int64

log = logging.getLogger(__name__)
_COMPILING = Lock()


@dataclass(frozen=True)
class Ratings:
    """Those of some rows, which are next to each other in a block: a row's are the `columns` (n,)
    from its place in `indptr` (rows + 1,) on, which are rows of the `others` (m, width).

    e, p, a: (n,), as a tile's. `biased`: the others' last factor is their bias, which p has lost,
    and counts as 1.
    """

    indptr: Int64
    columns: Int32
    others: Float32
    e: Float32
    p: Float32
    a: Float32
    biased: bool

    def scores(self, x: Float32) -> Float32:
        """`Y_o x`: (n,)."""
        return self.slopes(x)[0]

    def pull(self, weights: Float32) -> Float32:
        """`Y_o.T weights`: (rows, width) of (n,)."""
        nothing = np.zeros((len(self.indptr) - 1, self.others.shape[1]), np.float32)
        return self.slopes(nothing, weights)[1]

    def slopes(self, x: Float32, wanted: Float32 | None = None) -> tuple[Float32, Float32]:
        """The scores (n,) of x, and `Y_o.T (wanted - a scores)`: (rows, width); wanted: (n,), or
        nothing.
        """
        scores, pulled = np.empty_like(self.a), np.empty_like(x)
        given = np.zeros_like(self.a) if wanted is None else wanted
        kernel()(
            self.indptr, self.columns, self.others, x, given, self.a, scores, pulled, self.biased
        )
        return scores, pulled

    def sums(self, values: Float32) -> Float32:
        """Each row's: (rows,) of (n,)."""
        return np.add.reduceat(values, self.indptr[:-1])

    def spread(self, each: Float32) -> Float32:
        """Each row's number (rows, 1) for all its ratings: (n,)."""
        return np.repeat(each[:, 0], np.diff(self.indptr))

    def some(self, rows: Int64) -> Iterator[tuple[Int64, Tile]]:
        """Tiles of some of the rows, whose matrices are to be formed."""
        width = self.others.shape[1]
        for group in grouping.alike(np.diff(self.indptr)[rows], width, width):
            yield rows[group], self._tile(rows[group])

    def _tile(self, rows: Int64) -> Tile:
        count = np.diff(self.indptr)[rows]
        within = np.arange(count.max())
        real, places = within < count[:, None], self.indptr[rows][:, None] + within
        y = self.others[np.take(self.columns, places, mode="clip")]
        if self.biased:
            y[:, :, -1] = 1
        e, p, a = (np.take(each, places, mode="clip") for each in (self.e, self.p, self.a))
        return Tile(y, e * real, p, a * real)

    def errors(self, scores: Float32) -> tuple[float, float]:
        """The observed part of the objective, and the sum of the squared scores."""
        wrong = self.p - scores
        return float(np.vdot(self.e * wrong, wrong)), float(np.vdot(scores, scores))


@cache
def is_here() -> bool:
    """Whether numba is installed, and works; where it does not, a warning says why."""
    if not extras.FAST.is_here():
        return False
    try:
        kernel()
    except ImportError as error:  # of a NumPy that it does not know yet, for example
        log.warning(event("numba_not_usable", error=str(error)))
        return False
    return True


def kernel() -> Any:
    """What computes `Ratings.slopes`, compiled by the first who asks, in less than a second with
    the import; while it runs, other threads do.
    """
    with _COMPILING:
        return _compiled()


@cache
def _compiled() -> Any:
    from numba import njit, types

    def read(kind: Any, dimensions: int) -> Any:
        return types.Array(kind, dimensions, "C", readonly=True)

    vector, matrix = read(types.float32, 1), read(types.float32, 2)
    places, columns = read(types.int64, 1), read(types.int32, 1)
    written = (types.float32[::1], types.float32[:, ::1])
    given = (places, columns, matrix, matrix, vector, vector)
    # sums in any order, but what is not finite stays so
    loose = {"reassoc", "contract", "nsz"}
    return njit(types.void(*given, *written, types.boolean), nogil=True, fastmath=loose)(_slopes)


def _slopes(
    indptr: Any,
    columns: Any,
    others: Any,
    x: Any,
    wanted: Any,
    a: Any,
    scores: Any,
    pulled: Any,
    biased: bool,
) -> None:
    """Plain loops, for numba."""
    width = others.shape[1]
    last = width - biased
    for row in range(x.shape[0]):
        own, sums = x[row], pulled[row]
        sums[:] = 0
        for place in range(indptr[row], indptr[row + 1]):
            other = others[columns[place]]
            score = np.float32(0)
            for at in range(last):
                score += other[at] * own[at]
            if biased:
                score += own[last]
            scores[place] = score
            weight = wanted[place] - a[place] * score
            for at in range(last):
                sums[at] += weight * other[at]
            if biased:
                sums[last] += weight
