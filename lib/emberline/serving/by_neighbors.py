"""Answers by items' neighbours: an item's score is the sum of its similarities to those of its
neighbours that are in the events, each times its value.
"""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from emberline.cf import reasons
from emberline.cf.listing import Places, no_places
from emberline.errors import NotServedError
from emberline.models import ITEM_NEIGHBORS
from emberline.numeric.arrays import Bool, Float32, Int32
from emberline.serving.answers import Because, best_of, ranked
from emberline.serving.events import Events
from emberline.serving.lists import Listed


class ByNeighbors:
    """Of the table of neighbours (columns (m,) each); `allowed` are the items that may be
    recommended, all where None; `damped` says that values are counts, of which logarithms are seen.
    """

    names = (ITEM_NEIGHBORS.name,)

    def __init__(
        self,
        items: Int32,
        neighbors: Int32,
        similarities: Float32,
        allowed: Int32 | None,
        damped: bool,
    ) -> None:
        size = 1 + max(int(items.max(initial=-1)), int(neighbors.max(initial=-1)))
        self._of = sp.csr_array((similarities, (items, neighbors)), shape=(size, size))
        self._by = sp.csr_array(self._of.T)
        self._forbidden: Bool = np.zeros(size, bool)
        if allowed is not None:
            self._forbidden[:] = True
            self._forbidden[allowed[allowed < size]] = False
        self._every, self._damped = np.arange(size, dtype=np.int32), damped

    def lists(self, events: Events, k: int) -> Places:
        known = events.items < len(self._every)
        if not known.any():
            return no_places()
        rated, values = events.items[known], self._seen(events)[known]
        scores = np.asarray(values @ self._by[rated], np.float32)
        return self._best(scores, k, events.items)

    def similar(self, item: int, k: int) -> list[Listed]:
        if item >= len(self._every) or not self._of[[item]].nnz:
            raise NotServedError("that item has no neighbours")
        scores = np.asarray(self._of[[item]].toarray()[0], np.float32)
        return ranked(self._best(scores, k, np.array([item], np.int32)), self.names, k)

    def why(self, events: Events, items: Sequence[int], top: int) -> list[Because]:
        known = events.items < len(self._every)
        listed = np.array([item for item in items if item < len(self._every)], np.int32)
        if not known.any() or not len(listed):
            return []
        places = (np.zeros(int(known.sum()), np.int32), events.items[known])
        size = len(self._every)
        history = sp.csr_array((self._seen(events)[known], places), shape=(1, size))
        whose, told = np.zeros(len(listed), np.int32), np.ones(size, bool)
        found = reasons.of_neighbors(whose, listed, history, self._of, told, top)
        rows = zip(found.items, found.past, found.contributions, found.drops, strict=True)
        return [Because(int(a), int(b), float(c), float(d)) for a, b, c, d in rows]

    def _best(self, scores: Float32, k: int, without: Int32) -> Places:
        scores[self._forbidden] = -np.inf
        return best_of(scores, self._every, k, 0, without, floor=0.0)

    def _seen(self, events: Events) -> Float32:
        return np.log1p(events.values) if self._damped else events.values
