"""An index of rows by which those are found, nearly always, whose products with a vector are the
largest, without looking at all: a graph of rows near each other (HNSW: Malkov and Yashunin 2020),
by usearch (extra `index`).

Near is by products themselves. To make them cosines by one coordinate more (Bachrach et al. 2014)
found a tenth to a third of the best ten here, where products found 98 % and more: lengths of
factors differ, and nearly all of such a vector is that one coordinate.
"""

from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from emberline import extras
from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, Int64

_NEIGHBORS = 16  # of a row in the graph
_TRIED_TO_ADD, _TRIED_TO_FIND = 128, 200  # rows that are looked at, of which the best are kept


class Nearest:
    """Rows by their places: 0 and on."""

    def __init__(self, index: Any) -> None:
        self._index = index

    @classmethod
    def of(cls, rows: Iterable[Float32], width: int) -> Self:
        """Of rows (n, width), some at a time, by all of this machine's cores. Raises ConfigError
        where usearch is not installed.
        """
        index = _kind()(ndim=width, metric="ip", dtype="f16", connectivity=_NEIGHBORS)
        index.expansion_add, index.expansion_search = _TRIED_TO_ADD, _TRIED_TO_FIND
        for some in rows:
            index.add(len(index) + np.arange(len(some)), some)
        return cls(index)

    @classmethod
    def restored(cls, content: bytes) -> Self:
        """What `content` made of one. Raises ConfigError where usearch is not installed."""
        index = _kind().restore(content)
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
        found = self._index.search(vector, count, threads=1)
        return np.sort(found.keys.astype(np.int64))


def _kind() -> Any:
    if not extras.INDEX.is_here():
        raise ConfigError(
            f"{extras.INDEX.brings} finds the nearest of many items, and is not installed:"
            f" {extras.INDEX.remedy}"
        )
    from usearch.index import Index

    return Index
