"""Lists of a block of users, beside trivial ones, against what was withheld: each user's metrics,
and sums over items.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf import measures
from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries, places_in
from emberline.cf.list_metrics import Judged, list_values
from emberline.cf.listing import Mix, Popular, filling, no_places
from emberline.cf.pieces import EXCLUDED
from emberline.numeric.arrays import Float32, Float64, Int32, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

RELEVANT, LISTED = "relevant", "listed"
ITEMS_PER_BLOCK = 1 << 16
COUNTED = 0  # the block of sums that says of how many users
OF_LISTS, MOST_POPULAR, RANDOM = range(3)  # contestants
_CONTESTANTS = 3


@dataclass(frozen=True)
class Lists:
    """Whose list, which item and its rank from 1, each (n,)."""

    users: Int32
    items: Int32
    ranks: Int32


@dataclass(frozen=True)
class Question:
    """At which lengths lists are measured, and with which seed items are drawn."""

    ks: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class Catalogue:
    """The items that are rated in training, by how often, and by how many `users`; and vectors (m,
    d) of length 1 of some items (m,), ascending, by which two of them are alike.
    """

    popular: Popular
    users: int
    known: Int32
    vectors: Float32

    def ratings_of(self, items: Int32) -> Float64:
        """How often each (n,) is rated in training."""
        places = self.popular.place_of(items)
        if not len(self.popular.items):
            return np.zeros(len(items))
        # counts of equally popular items differ by less than a half, to order them
        return np.where(places >= 0, np.floor(self.popular.counts[places]), 0).astype(np.float64)


def measure(
    pieces: Iterator[pa.RecordBatch], question: Question, catalogue: Shared
) -> Iterator[pa.RecordBatch]:
    """PIECES of kind RELEVANT (whose values are held-out ones), LISTED (whose values are ranks) and
    EXCLUDED, those of a block after each other, to measures.BLOCKS.

    Of users, model c is contestant c, and the columns are those of `list_values`. Sums over items
    are in blocks from `block_of_items` on; `item_counts` reads them.
    """
    found: dict[int, Float64] = {}
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        block = list(group)
        relevant, seen, listed = (
            Entries.decoded(piece for piece in block if piece["kind"] == kind)
            for kind in (RELEVANT, EXCLUDED, LISTED)
        )
        if not len(relevant.rows):
            continue
        users = np.unique(relevant.rows)
        found[COUNTED] = found.get(COUNTED, np.zeros(1)) + len(users)
        own = Lists(listed.rows, listed.columns, listed.values.astype(np.int32))
        others = _trivial(users, seen, catalogue.value.popular, question, int(block[0]["block"]))
        for number, lists in enumerate((own, *others)):
            lists = _of(users, lists)
            judged = _judged(users, relevant, lists, catalogue.value)
            values = list_values(judged, question.ks)
            yield measures.of_users(number, users, values, np.ones(len(users)))
            counts = _counted(number, relevant, lists, judged, catalogue.value.popular, question)
            for place, vector in counts:
                found[place] = found[place] + vector if place in found else vector
    for place, vector in found.items():
        yield measures.of_sums(place, vector)


def block_of_items(contestant: int, place: int) -> int:
    """The number of the block in which it is counted how often an item is in the contestant's
    lists.
    """
    return (1 + place // ITEMS_PER_BLOCK) * _CONTESTANTS + contestant


@dataclass(frozen=True)
class ItemCounts:
    """Of each item, by its place among the popular ones: to how many users it is relevant, (n,),
    and at each k in how many lists it is, and how often it is a hit there: (n, ks).
    """

    relevant: Float64
    listed: Float64
    hits: Float64

    @classmethod
    def of(
        cls, found: dict[int, Float64], contestant: int, items: int, num_ks: int
    ) -> "ItemCounts":
        """Of sums of what `measure` makes, of so many items; by block."""
        counts = np.zeros((items, 1 + 2 * num_ks))
        for block, vector in found.items():
            if block != COUNTED and block % _CONTESTANTS == contestant:
                first = (block // _CONTESTANTS - 1) * ITEMS_PER_BLOCK
                own = vector.reshape(-1, 1 + 2 * num_ks)
                counts[first : first + len(own)] = own
        return cls(counts[:, 0], counts[:, 1 : 1 + num_ks], counts[:, 1 + num_ks :])


def gini(counts: Float64) -> float:
    """How unevenly the lists fall on the items, by how many each (n,) is in: 0 where all are in as
    many, and nearly 1 where one has them all (Gini 1912; Fleder, Hosanagar 2009). NaN of none.

        sum_i (2 i - n - 1) c_i / (n sum_i c_i), the counts c ascending
    """
    ordered, n = np.sort(counts), len(counts)
    if not ordered.sum():
        return float("nan")
    return float((2 * np.arange(1, n + 1) - n - 1) @ ordered / (n * ordered.sum()))


def _of(users: Int32, lists: Lists) -> Lists:
    """The lists of some users, by user and rank."""
    known = np.isin(lists.users, users)
    order = np.lexsort((lists.ranks[known], lists.users[known]))
    arrays = (lists.users, lists.items, lists.ranks)
    return Lists(*(array[known][order] for array in arrays))


def _judged(users: Int32, relevant: Entries, lists: Lists, catalogue: Catalogue) -> Judged:
    wanted = np.searchsorted(users, relevant.rows)
    pairs = _pairs(relevant.rows, relevant.columns)
    order = np.argsort(pairs)
    places = places_in(pairs[order], _pairs(lists.users, lists.items))
    is_hit = places >= 0
    gains = np.where(is_hit, relevant.values[order][places], 0).astype(np.float64)
    return Judged(
        relevant=np.bincount(wanted, minlength=len(users)),
        rows=np.searchsorted(users, lists.users),
        ranks=lists.ranks,
        is_hit=is_hit,
        gains=gains,
        ratings=catalogue.ratings_of(lists.items),
        places=places_in(catalogue.known, lists.items),
        wanted_rows=wanted,
        wanted_gains=relevant.values.astype(np.float64),
        wanted_ratings=catalogue.ratings_of(relevant.columns),
        vectors=catalogue.vectors,
        users=catalogue.users,
    )


def _pairs(users: Int32, items: Int32) -> Int64:
    return (users.astype(np.int64) << 32) | items


def _counted(
    number: int,
    relevant: Entries,
    lists: Lists,
    judged: Judged,
    popular: Popular,
    question: Question,
) -> Iterator[tuple[int, Float64]]:
    """Of blocks of items, what `ItemCounts` has: (items of the block, 1 + 2 ks), flat."""
    places, wanted = (popular.place_of(items) for items in (lists.items, relevant.columns))
    for first in range(0, len(popular.items), ITEMS_PER_BLOCK):
        size = min(ITEMS_PER_BLOCK, len(popular.items) - first)
        is_in = (places >= first) & (places < first + size)
        chosen = [is_in & (lists.ranks <= k) for k in question.ks]
        chosen += [which & judged.is_hit for which in chosen]
        is_wanted = wanted[(wanted >= first) & (wanted < first + size)]
        columns = [is_wanted, *(places[which] for which in chosen)]
        counts = [np.bincount(column - first, minlength=size) for column in columns]
        yield block_of_items(number, first), np.column_stack(counts).astype(np.float64).ravel()


def _trivial(
    users: Int32, seen: Entries, popular: Popular, question: Question, block: int
) -> tuple[Lists, Lists]:
    """The lists of MOST_POPULAR, and of RANDOM."""
    drawn_ = drawn(users, seen, popular, question, block)
    return _most_popular(users, seen, popular, question), drawn_


def _most_popular(users: Int32, seen: Entries, popular: Popular, question: Question) -> Lists:
    how = Mix(max(question.ks), (), (), "")
    places = filling(users, no_places(), seen, popular, how)
    return Lists(places.users, places.items, (place_among(places.users) + 1).astype(np.int32))


def drawn(users: Int32, seen: Entries, popular: Popular, question: Question, block: int) -> Lists:
    """For each user items drawn from the popular ones that are not seen, each as likely as any
    other; the draws depend on the seed and the block's number.
    """
    rng = np.random.default_rng((question.seed, block))
    places = popular.place_of(seen.columns)
    is_known = (places >= 0) & np.isin(seen.rows, users)
    rows, places = np.searchsorted(users, seen.rows[is_known]), places[is_known]
    order = np.lexsort((places, rows))
    rows, places = rows[order], places[order].astype(np.int64)
    left = len(popular.items) - np.bincount(rows, minlength=len(users))
    chosen = subsets(rng, left, max(question.ks))
    found_rows, at = np.nonzero(chosen >= 0)
    numbers = chosen[found_rows, at]
    # a seen place is before the n-th unseen one where not more than n unseen ones are before it
    width = len(popular.items) + 1
    before = places - place_among(rows)
    passed = np.searchsorted(rows * width + before, found_rows * width + numbers, "right")
    found = numbers + passed - np.searchsorted(rows, found_rows)
    ranks = (place_among(found_rows) + 1).astype(np.int32)
    return Lists(users[found_rows], popular.items[found], ranks)


def subsets(rng: np.random.Generator, sizes: Int64, k: int) -> Int64:
    """For each size (n,), k different numbers below it in random order, or all there are, filled
    up with -1: (n, k). By Floyd's algorithm (Bentley, Floyd 1987), for all at once.
    """
    chosen = np.full((len(sizes), k), -1, np.int64)
    wanted = np.minimum(sizes, k)
    for at in range(k):
        last = sizes - wanted + at
        number = (rng.random(len(sizes)) * (last + 1)).astype(np.int64)
        is_taken = (chosen[:, :at] == number[:, None]).any(axis=1)
        chosen[:, at] = np.where(at < wanted, np.where(is_taken, last, number), -1)
    order = np.argsort(rng.random(chosen.shape) + (chosen < 0), axis=1)
    return np.take_along_axis(chosen, order, axis=1)
