"""Lists of a block of users, beside trivial ones, against what was withheld: sums from which
metrics are made.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries
from emberline.cf.listing import Mix, Popular, filling, no_places
from emberline.cf.metrics import Sums, per_user
from emberline.cf.pieces import EXCLUDED
from emberline.cf.sums import decoded, encoded
from emberline.numeric.arrays import Float64, Int32, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

RELEVANT, LISTED = "relevant", "listed"
ITEMS_PER_BLOCK = 1 << 16
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


def measure(
    pieces: Iterator[pa.RecordBatch], question: Question, popular: Shared
) -> Iterator[pa.RecordBatch]:
    """PIECES of kind RELEVANT, LISTED (whose values are ranks) and EXCLUDED, those of a block
    after each other, to SUMS.

    Block c is the `Sums` of contestant c's metrics. All others, from `block_of_items` on, are of
    some items by their place in `popular`, and of each k, how many lists they are in.
    """
    found: dict[int, Float64] = {}
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        for block, vector in _of_block(list(group), question, popular.value):
            found[block] = found[block] + vector if block in found else vector
    if found:
        yield encoded(found)


def block_of_items(contestant: int, place: int) -> int:
    """The number of the block in which it is counted how often an item is in the contestant's
    lists.
    """
    return _CONTESTANTS * (1 + place // ITEMS_PER_BLOCK) + contestant


def count_covered(batches: Iterator[pa.RecordBatch], num_ks: int) -> Iterator[pa.RecordBatch]:
    """SUMS of all lists: of blocks of items, how many are in a list at all, by k."""
    for batch in batches:
        found = decoded(rows_of(iter([batch])))
        for block, counts in found.items():
            if block >= _CONTESTANTS:
                found[block] = (counts.reshape(-1, num_ks) > 0).sum(axis=0)
        yield encoded(found)


def covered(found: Mapping[int, Float64], contestant: int, num_ks: int) -> Float64:
    """Of what `count_covered` makes, how many items are in the contestant's lists: (num_ks,)."""
    counts = [
        vector
        for block, vector in found.items()
        if block >= _CONTESTANTS and block % _CONTESTANTS == contestant
    ]
    return sum(counts, np.zeros(num_ks))


def _of_block(
    found: list[dict[str, Any]], question: Question, popular: Popular
) -> Iterator[tuple[int, Float64]]:
    relevant, seen, listed = (
        Entries.decoded(piece for piece in found if piece["kind"] == kind)
        for kind in (RELEVANT, EXCLUDED, LISTED)
    )
    if not len(relevant.rows):
        return
    users = np.unique(relevant.rows)
    contestants = {
        OF_LISTS: Lists(listed.rows, listed.columns, listed.values.astype(np.int32)),
        MOST_POPULAR: _most_popular(users, seen, popular, question),
        RANDOM: drawn(users, seen, popular, question, int(found[0]["block"])),
    }
    for number, lists in contestants.items():
        known = np.isin(lists.users, users)
        lists = Lists(lists.users[known], lists.items[known], lists.ranks[known])
        yield number, _sums(users, relevant, lists, question.ks).to_vector()
        yield from _covered(number, lists, popular, question.ks)


def _sums(users: Int32, relevant: Entries, lists: Lists, ks: tuple[int, ...]) -> Sums:
    counts = np.bincount(np.searchsorted(users, relevant.rows), minlength=len(users))
    is_hit = np.isin(_pairs(lists.users, lists.items), _pairs(relevant.rows, relevant.columns))
    places = np.searchsorted(users, lists.users[is_hit])
    hits = places.astype(np.int32), lists.ranks[is_hit]
    return Sums.of(per_user(counts.astype(np.int32), *hits, ks))


def _pairs(users: Int32, items: Int32) -> Int64:
    return (users.astype(np.int64) << 32) | items


def _covered(
    number: int, lists: Lists, popular: Popular, ks: tuple[int, ...]
) -> Iterator[tuple[int, Float64]]:
    """How many lists have an item among their first k: (items of the block, ks), flat."""
    places = popular.place_of(lists.items)
    for first in range(0, len(popular.items), ITEMS_PER_BLOCK):
        size = min(ITEMS_PER_BLOCK, len(popular.items) - first)
        is_in = (places >= first) & (places < first + size)
        counts = [
            np.bincount(places[is_in & (lists.ranks <= k)] - first, minlength=size) for k in ks
        ]
        yield block_of_items(number, first), np.column_stack(counts).astype(np.float64).ravel()


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
