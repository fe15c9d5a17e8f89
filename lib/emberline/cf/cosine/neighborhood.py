"""Ratings predicted from neighbours: of what is already known, a mean weighted by similarity.

With e_uj = r_uj - b_uj what user u's rating of item j deviates from its biases,
the deviation of u and i is

    item-based   sum_j s_ij e_uj / (prior + sum_j s_ij)    j: the k items most similar to i that
                                                           u rated
    user-based   sum_v s_uv e_vi / (prior + sum_v s_uv)    v: the k users most similar to u who
                                                           rated i

where only similarities above 0 count. Both are one thing: the owner's (u's, or i's) ratings of the
others that are nearest to the target (i, or u). Neighbours are looked for among what the owner has
rated, not in a list made before, which most pairs would find empty. With `prior = 0` that is the
rule of LensKit's ItemKNN and UserKNN and of Surprise's KNNBaseline (Koren 2010, section 2.2); a
prior is the similarity of one more neighbour, which deviates by 0: few and distant ones say little.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.similarity import Damping, Nearest
from emberline.numeric.arrays import Bool, Float32, Int32, Int64

_ENTRIES = 1 << 23  # of similarities, dense, in memory at a time
_LOOKUPS = 1 << 21  # of them at a time


@dataclass(frozen=True)
class Rule:
    """How many neighbours count, what few common ratings are worth, and what is added to the
    sum of similarities.
    """

    top_k: int
    damping: Damping
    prior: float


@dataclass(frozen=True)
class Rated(Nearest):
    """Neighbours (n,) of pairs, whose places are `rows`, and what the pair's owner's rating of
    each deviates by.
    """

    deviations: Float32


@dataclass(frozen=True)
class Neighborhood:
    """What the neighbours of some targets are looked for in.

    targets: (m, terms), rows of length 1, and others: (terms, n), such columns, both float64;
    deviations: (terms, n), a row for each owner; target_ids: (m,) and other_ids: (n,), ascending.
    """

    targets: sp.csr_matrix
    others: sp.csr_matrix
    deviations: sp.csr_matrix
    target_ids: Int32
    other_ids: Int32

    def nearest(self, owners: Int32, targets: Int32, rule: Rule) -> Rated:
        """The `top_k` nearest of each pair (n,) that has some; pairs of unknown ids have none."""
        places = np.minimum(np.searchsorted(self.target_ids, targets), len(self.target_ids) - 1)
        known = np.flatnonzero(
            (self.target_ids[places] == targets) & (owners < self.deviations.shape[0])
        )
        known = known[np.argsort(places[known], kind="stable")]
        parts = [_nothing()]
        for rows, pairs in self._tiles(places, known):
            table = self._similarities(rows, rule.damping)
            line = np.searchsorted(rows, places[pairs])
            parts += [
                self._looked_up(table, line[some], owners, pairs[some], rule)
                for some in self._portions(owners[pairs])
            ]
        return cosine.best(Rated.joined(parts), rule.top_k)

    def _tiles(self, places: Int64, pairs: Int64) -> Iterator[tuple[Int64, Int64]]:
        """Rows of targets whose similarities fit into memory, with their pairs; pairs: (n,), in
        the order of their places.
        """
        rows = np.unique(places[pairs])
        step = max(_ENTRIES // max(len(self.other_ids), 1), 1)
        for start in range(0, len(rows), step):
            tile = rows[start : start + step]
            first, end = np.searchsorted(places[pairs], [tile[0], tile[-1] + 1])
            yield tile, pairs[first:end]

    def _similarities(self, rows: Int64, damping: Damping) -> Float32:
        """(rows, n), dense; 0 with itself."""
        sparse = cosine.similarities(self.targets[rows], self.others, damping)
        found: Float32 = sparse.astype(np.float32).toarray()
        ids = self.target_ids[rows]
        own = np.minimum(np.searchsorted(self.other_ids, ids), len(self.other_ids) - 1)
        lines = np.flatnonzero(self.other_ids[own] == ids)
        found[lines, own[lines]] = 0
        return found

    def _portions(self, owners: Int32) -> Iterator[Int64]:
        """Places of owners (n,) with like numbers of ratings, as many as make a table that fits
        into memory.
        """
        counts = self._counts(owners)
        order = np.argsort(counts, kind="stable")
        start = 0
        while start < len(order):
            sizes = counts[order[start:]] * np.arange(1, len(order) - start + 1)
            stop = start + max(int(np.searchsorted(sizes, _LOOKUPS, "right")), 1)
            yield order[start:stop]
            start = stop

    def _counts(self, owners: Int32) -> Int64:
        counts: Int64 = np.diff(self.deviations.indptr).astype(np.int64)[owners]
        return counts

    def _looked_up(
        self, table: Float32, lines: Int64, owners: Int32, pairs: Int64, rule: Rule
    ) -> Rated:
        """Of each pair at least the `top_k` nearest, and more only where they are as near as
        the last of these.
        """
        counts, starts = (
            self._counts(owners[pairs]),
            self.deviations.indptr[owners[pairs]].astype(np.int64),
        )
        width = int(counts.max(initial=0))
        if not width:
            return _nothing()
        is_rated = np.arange(width) < counts[:, None]
        places = np.where(is_rated, starts[:, None] + np.arange(width), 0)
        columns = self.deviations.indices[places]
        scores = np.where(is_rated, table[lines[:, None], columns], 0)
        pair, place = np.nonzero(_near(scores, rule.top_k))
        found = columns[pair, place], scores[pair, place], self.deviations.data[places[pair, place]]
        return Rated(
            pairs[pair].astype(np.int32),
            self.other_ids[found[0]],
            found[1],
            found[2].astype(np.float32),
        )


def _near(scores: Float32, top_k: int) -> Bool:
    """True for those above 0 of each row (m, n) that no `top_k` others of it are above."""
    near = scores > cosine.ZERO
    if scores.shape[1] <= top_k:
        return near
    last = np.partition(scores, -top_k, axis=1)[:, -top_k]
    return near & (scores >= last[:, None])


def _nothing() -> Rated:
    ids, values = np.empty(0, np.int32), np.empty(0, np.float32)
    return Rated(ids, ids, values, values)


def weighted_means(found: Rated, num_pairs: int, prior: float) -> Float32:
    """Each pair's deviation (num_pairs,), see the module; NaN where it has no neighbour."""
    weights = found.similarities.astype(np.float64)
    total = np.bincount(found.rows, weights, num_pairs)
    weighted = np.bincount(found.rows, weights * found.deviations, num_pairs)
    means: Float32 = np.where(
        total > 0, weighted / np.where(total > 0, total + prior, 1), np.nan
    ).astype(np.float32)
    return means
