"""Metrics of lists, one function each in a table: of some users, what their lists are worth.

For a user with the set R of relevant held-out items and a list of recommended items, hit(p) = 1
where the item at rank p is in R, n(i) is how many have rated item i in training, and u how many
users there are. A list shorter than k counts as if filled with irrelevant items where what counts
is hits; an empty list is all 0 then. Ranks are without ties: whoever made the list has broken them.
Metrics of what is listed, hit or not, are over the items that there are; a user in whose list there
are too few of them has no value.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from emberline.numeric.arrays import Bool, Float32, Float64, Int32, Int64
from emberline.numeric.groups import place_among


@dataclass(frozen=True)
class Judged:
    """What some users' lists hold, and what they were to hold.

    `relevant` (n,): how many relevant items each has, at least 1. Of the m places of all lists, by
    user and rank: `rows` the user (a number below n), `ranks` from 1, `is_hit`, `gains` the
    held-out value of a hit, `ratings` the item's n(i), and `places` where it is in `vectors`, -1
    where it is not. Of the p relevant items: `wanted_rows`, `wanted_gains` and `wanted_ratings`.
    `vectors` (items, d) have length 1; `users` is u.
    """

    relevant: Int64
    rows: Int64
    ranks: Int32
    is_hit: Bool
    gains: Float64
    ratings: Float64
    places: Int64
    wanted_rows: Int64
    wanted_gains: Float64
    wanted_ratings: Float64
    vectors: Float32
    users: int

    def per_user(self, chosen: Bool, values: Float64 | None = None) -> Float64:
        """The number of each user's chosen places, or the sum of some values (m,) there: (n,)."""
        weights = None if values is None else values[chosen]
        sums: Float64 = np.bincount(self.rows[chosen], weights, len(self.relevant)).astype(float)
        return sums

    def hits(self, k: int) -> Bool:
        return self.is_hit & (self.ranks <= k)

    def reachable(self, k: int) -> Int64:
        return np.minimum(self.relevant, k)


def precision(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} hit(p) / k"""
    return lists.per_user(lists.hits(k)) / k


def recall(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} hit(p) / |R|"""
    return lists.per_user(lists.hits(k)) / lists.relevant


def reachable_recall(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} hit(p) / min(k, |R|), which the best list makes 1"""
    return lists.per_user(lists.hits(k)) / lists.reachable(k)


def hit_rate(lists: Judged, k: int) -> Float64:
    """1 where there is a hit, else 0"""
    return (lists.per_user(lists.hits(k)) > 0).astype(np.float64)


def ndcg(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} hit(p) / log2(p + 1), divided by its largest possible value (Jarvelin, Kekalainen
    2002)
    """
    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))])
    found: Float64 = lists.per_user(lists.hits(k), 1 / np.log2(lists.ranks + 1))
    return np.asarray(found / ideal[lists.reachable(k)])


def graded_ndcg(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} gain(p) / log2(p + 1), divided by its largest possible value, where the gain of a
    relevant item is its held-out value, below 0 is 0, and that of others 0: linear gains, as in
    Jarvelin, Kekalainen 2002. None where no relevant item has a gain.
    """
    discounted = np.maximum(lists.gains, 0) / np.log2(lists.ranks + 1)
    found = lists.per_user(lists.hits(k), discounted)
    gains = np.maximum(lists.wanted_gains, 0)
    order = np.lexsort((-gains, lists.wanted_rows))
    place = place_among(lists.wanted_rows[order])
    best = np.where(place < k, gains[order] / np.log2(place + 2), 0)
    ideal = np.bincount(lists.wanted_rows[order], best, len(lists.relevant))
    return _over(found, ideal.astype(np.float64))


def average_precision(lists: Judged, k: int) -> Float64:
    """sum_{p<=k} hit(p) precision@p / min(k, |R|)"""
    hits = lists.hits(k)
    nth = place_among(lists.rows[hits]) + 1
    precisions = np.bincount(lists.rows[hits], nth / lists.ranks[hits], len(lists.relevant))
    return precisions / lists.reachable(k)


def reciprocal_rank(lists: Judged, k: int) -> Float64:
    """1 / the rank of the first hit up to k, 0 without one"""
    hits = lists.hits(k)
    first = np.zeros(len(lists.rows), bool)
    first[np.flatnonzero(hits)] = place_among(lists.rows[hits]) == 0
    return lists.per_user(first, 1 / lists.ranks)


def debiased_recall(lists: Judged, k: int) -> Float64:
    """sum_{i in R, hit up to k} s(i) / sum_{i in R} s(i), with s(i) = n(i)^-1/2: recall as it would
    be if popular items were not observed more often, each with a probability that grows like n(i)^
    1/2 (popularity-stratified recall: Steck, RecSys 2011, section 3, with gamma = 1). Items that
    nobody has rated count as rated once.
    """
    weights, wanted = (1 / np.sqrt(np.maximum(n, 1)) for n in (lists.ratings, lists.wanted_ratings))
    total = np.bincount(lists.wanted_rows, wanted, len(lists.relevant))
    return lists.per_user(lists.hits(k), weights) / total


def mean_popularity(lists: Judged, k: int) -> Float64:
    """The mean n(i) of the items up to rank k (average recommendation popularity, ARP: Yin et al.
    2012). None where the list is empty.
    """
    return _mean(lists, k, lists.ratings)


def self_information(lists: Judged, k: int) -> Float64:
    """The mean of -log2(n(i) / u) of the items up to rank k, in bits: how unexpected they are (Zhou
    et al. 2010). Items that nobody has rated count as rated once. None where the list is empty.
    """
    return _mean(lists, k, np.log2(max(lists.users, 1) / np.maximum(lists.ratings, 1)))


def diversity(lists: Judged, k: int) -> Float64:
    """The mean over pairs of items up to rank k of 1 - the cosine of their factors (intra-list
    diversity: Ziegler et al. 2005). Items without factors do not count; none where fewer than two
    have any.
    """
    known = (lists.ranks <= k) & (lists.places >= 0)
    rows, count = lists.rows[known], lists.per_user(known)
    together = np.zeros((len(lists.relevant), lists.vectors.shape[1]))
    if len(rows):
        starts = np.flatnonzero(np.diff(rows, prepend=-1))
        vectors = lists.vectors[lists.places[known]].astype(np.float64)
        together[rows[starts]] = np.add.reduceat(vectors, starts, axis=0)
    # the square of a sum of unit vectors is their number, and twice the cosine of every pair
    cosines = (together**2).sum(axis=1) - count
    return 1 - _over(cosines, count * (count - 1))


LIST_METRICS: Mapping[str, Callable[[Judged, int], Float64]] = {
    "precision@{k}": precision,
    "recall@{k}/n": recall,
    "recall@{k}/min(k,n)": reachable_recall,
    "hit_rate@{k}": hit_rate,
    "ndcg@{k}": ndcg,
    "map@{k}/min(k,n)": average_precision,
    "mrr@{k}": reciprocal_rank,
    "graded_ndcg@{k}": graded_ndcg,
    "debiased_recall@{k}": debiased_recall,
    "mean_popularity@{k}": mean_popularity,
    "self_information@{k}": self_information,
    "diversity@{k}": diversity,
}


def list_names(ks: tuple[int, ...]) -> list[str]:
    """The names of the columns of `list_values`."""
    return [name.format(k=k) for k in ks for name in LIST_METRICS]


def list_values(lists: Judged, ks: tuple[int, ...]) -> Float64:
    """Every metric of each user: (n, len(ks) * len(LIST_METRICS)), NaN where there is none."""
    return np.column_stack([of(lists, k) for k in ks for of in LIST_METRICS.values()])


def _mean(lists: Judged, k: int, values: Float64) -> Float64:
    inside = lists.ranks <= k
    return _over(lists.per_user(inside, values), lists.per_user(inside))


def _over(above: Float64, below: Float64) -> Float64:
    is_there = below > 0
    ratio: Float64 = np.where(is_there, above / np.where(is_there, below, 1), np.nan)
    return ratio
