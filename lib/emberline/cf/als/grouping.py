"""Which rows of a block are solved together: as many as a core's cache has room for."""

from collections.abc import Iterator

import numpy as np

from emberline.numeric.arrays import Bool, Int64

# float32 numbers of the others' factors at a time, 4 MiB: they stay in the cache while in use
TILE = 1 << 20
_PADDING = 1.15
_WIDEST = 8  # a row that needs more than so many tiles is alone, and summed up piece by piece
_LONGEST = 1 << 17  # ratings of a row whose sums in float32 are still precise
_PORTION = 1 << 16  # ratings at a time where they are read as they lie


def is_wide(count: Int64, width: int) -> Bool:
    """Whether rows with so many ratings (rows,) are alone."""
    return (count * width > _WIDEST * TILE) | (count > _LONGEST)


def alike(degrees: Int64, width: int, least: int) -> Iterator[Int64]:
    """Positions of rows of almost the same degree (rows,), ascending, few enough for the cache.

    Each takes `width` times its degree there, or times `least`.
    """
    order = np.argsort(degrees, kind="stable")
    ascending = degrees[order]
    first = 0
    while first < len(order):
        same = int(np.searchsorted(ascending, ascending[first] * _PADDING, side="right"))
        size = max(int(ascending[same - 1]), least) * width
        after = min(same, first + max(1, TILE // size))
        yield order[first:after]
        first = after


def neighbouring(indptr: Int64, width: int) -> Iterator[Int64]:
    """Positions of rows next to each other, a row's ratings being those from its place in `indptr`
    (rows + 1,) on: no more than a portion's ratings, and rows whose own factors stay in the cache.
    A wide row is alone.
    """
    first, rows = 0, len(indptr) - 1
    wide = np.append(np.flatnonzero(is_wide(np.diff(indptr), width)), rows)
    while first < rows:
        enough = int(np.searchsorted(indptr, indptr[first] + _PORTION, side="right")) - 1
        next_wide = int(wide[np.searchsorted(wide, first)])
        after = min(enough, first + max(1, TILE // width), next_wide)
        after = max(after, first + 1)
        yield np.arange(first, after)
        first = after
