"""Ratings predicted from neighbours: a mean of what else is known, weighted by similarity.

For a user u and an item i, with b the mean that ratings are compared with (0, a user's or an item's):

    item-based   b_ui + sum_j s_ij (r_uj - b_uj) / sum_j |s_ij|    over i's neighbours j that u has rated  (Sarwar et al. 2001)
    user-based   b_u  + sum_v s_uv (r_vi - b_v)  / sum_v |s_uv|    over u's neighbours v that have rated i (Resnick et al. 1994)

Both are one thing: the owner's ratings (u's, or i's) of the target's neighbours (i's, or u's).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from emberline.cf.blocks import Float32, Int32, Int64

_LOOKUPS = 1 << 22  # at a time


@dataclass(frozen=True)
class Neighborhood:
    """Owners' ratings less their means, and targets' neighbours with their similarities; both (rows, ids), in CSR."""

    ratings: sp.csr_matrix
    neighbors: sp.csr_matrix

    def deviations(self, owners: Int32, targets: Int32) -> Float32:
        """For each pair of an owner and a target (n,), the second summand above; NaN where no neighbour is rated."""
        parts = [self._of(owners[chunk], targets[chunk]) for chunk in self._chunks(targets)]
        return np.concatenate([np.empty(0, np.float32), *parts])

    def _chunks(self, targets: Int32) -> Iterator[slice]:
        ends = np.cumsum(np.diff(self.neighbors.indptr)[targets])
        edges = np.searchsorted(ends, np.arange(_LOOKUPS, (ends[-1] if len(ends) else 0) + _LOOKUPS, _LOOKUPS))
        return (slice(start, end) for start, end in zip([0, *edges], [*edges, len(targets)], strict=True))

    def _of(self, owners: Int32, targets: Int32) -> Float32:
        starts, counts = self.neighbors.indptr[targets], np.diff(self.neighbors.indptr)[targets]
        pair = np.repeat(np.arange(len(targets)), counts)
        places = np.arange(len(pair)) + np.repeat(starts - np.cumsum(counts) + counts, counts)
        found = self._places(owners[pair], self.neighbors.indices[places])
        rated = found >= 0
        pair, similarity = pair[rated], self.neighbors.data[places[rated]]
        return _weighted_means(pair, similarity, self.ratings.data[found[rated]], len(targets))

    def _places(self, owners: Int32, ids: Int32) -> Int64:
        """Where in `ratings.data` each owner's rating of an id is (n,), -1 where there is none."""
        if not len(ids):
            return np.empty(0, np.int64)
        number = sp.csr_matrix(
            (np.arange(1, self.ratings.nnz + 1), self.ratings.indices, self.ratings.indptr), self.ratings.shape
        )
        return np.asarray(number[owners, ids]).ravel() - 1


def _weighted_means(groups: Int64, weights: Float32, values: Float32, num_groups: int) -> Float32:
    """Of each group (num_groups,); NaN where its weights are 0."""
    total = np.bincount(groups, np.abs(weights.astype(np.float64)), num_groups)
    weighted = np.bincount(groups, weights.astype(np.float64) * values, num_groups)
    means: Float32 = np.where(total > 0, weighted / np.where(total > 0, total, 1), np.nan).astype(np.float32)
    return means
