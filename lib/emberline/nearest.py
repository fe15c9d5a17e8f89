"""An index of rows by which those are found, nearly always, whose products with a vector are the
largest, without looking at all: a graph of rows near each other (HNSW: Malkov and Yashunin 2020),
by usearch (extra `index`).

Near is by products themselves. To make them cosines by one coordinate more (Bachrach et al. 2014)
found a tenth to a third of the best ten here, where products found 98 % and more: lengths of
factors differ, and nearly all of such a vector is that one coordinate.

What is nearest is the same in any unit, but usearch's distance is 1 less a product, in float32:
of small products nothing would be left in it. So rows are in units of the longest, and a vector of
itself.
"""

from typing import Any, Self

import numpy as np

from emberline import extras
from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, Int64

_NEIGHBORS = 16  # of a row in the graph
_TRIED_TO_ADD, _TRIED_TO_FIND = 128, 200  # rows that are looked at, of which the best are kept
_CHUNK = 1 << 16


class Nearest:
    """Rows by their places: 0 and on."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def of(cls, rows: Float32) -> Self:
        """Of rows (n, d), by all of this machine's cores. Raises ConfigError where usearch is not
        installed.
        """
        index = _kind()(ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=_NEIGHBORS)
        index.expansion_add, index.expansion_search = _TRIED_TO_ADD, _TRIED_TO_FIND
        longest = _not_zero(float(np.linalg.norm(rows, axis=1).max(initial=0)))
        for first in range(0, len(rows), _CHUNK):
            some = rows[first : first + _CHUNK]
            index.add(first + np.arange(len(some)), some / np.float32(longest))
        return cls(index)

    @classmethod
    def restored(cls, content: bytes) -> Self:
        """What `content` made of one. Raises ConfigError where usearch is not installed, or is of
        a version that does not read it.
        """
        kind = _kind()
        try:
            index = kind.restore(content)
        except (RuntimeError, ValueError) as error:  # its own, of what it was given
            raise ConfigError(
                f"the installed usearch cannot read the index of items ({error}): it needs the"
                f" version that published it, or a later one; {extras.INDEX.remedy}"
            ) from error
        index.expansion_search = _TRIED_TO_FIND
        return cls(index)

    def content(self) -> bytes:
        """The bytes of a file of it."""
        return bytes(self._index.save())

    def __len__(self) -> int:
        return len(self._index)

    def near(self, vector: Float32, count: int) -> Int64:
        """The places, ascending, of so many rows at most, whose products with the vector (d,) are
        nearly always the largest.
        """
        length = _not_zero(float(np.linalg.norm(vector)))
        found = self._index.search(vector / np.float32(length), count, threads=1)
        return np.sort(found.keys.astype(np.int64))


def _not_zero(length: float) -> float:
    return length or 1.0


def _kind() -> Any:
    if not extras.INDEX.is_here():
        raise ConfigError(
            f"{extras.INDEX.brings} finds the nearest of many items, and is not installed:"
            f" {extras.INDEX.remedy}"
        )
    from usearch.index import Index

    return Index
