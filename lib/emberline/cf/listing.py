"""Lists of several models mixed, and filled up with what is popular, for a block of users."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import portions, rows_of
from emberline.cf.entries import Arrays, Entries
from emberline.cf.pieces import EXCLUDED, WANTED, ids_of_kind
from emberline.numeric.arrays import Array, Bool, Float32, Int32, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

COUNTS = pa.schema([("item", pa.int32()), ("ratings", pa.int64())])
LISTED = pa.schema(
    [
        ("user", pa.int32()),
        ("rank", pa.int32()),
        ("item", pa.int32()),
        ("score", pa.float32()),
        ("model", pa.string()),
    ]
)
_PORTION = 1 << 21  # ratings that are counted at a time
_CELLS = 1 << 22  # users times popular items that are looked at at a time


@dataclass(frozen=True)
class Popular:
    """Items by how often they were rated, ties by the smaller item: `items` (n,), their `counts`
    (n,), and of every index where it stands among them, -1 where it does not: `places`.
    """

    items: Int32
    counts: Float32
    places: Int32

    @classmethod
    def of(cls, items: Int32, counts: Int64) -> Self:
        """Of counts of parts of the ratings, in which an item may occur several times."""
        distinct, inverse = np.unique(items, return_inverse=True)
        totals = np.bincount(inverse, counts, minlength=len(distinct)).astype(np.float32)
        return cls.ranked(distinct.astype(np.int32), totals)

    @classmethod
    def ranked(cls, items: Int32, scores: Float32) -> Self:
        """Of distinct items (n,), ascending, the one of the best score first."""
        order = np.argsort(-scores, kind="stable")
        ordered = items[order]
        places = np.full(int(items.max(initial=-1)) + 1, -1, np.int32)
        places[ordered] = np.arange(len(ordered), dtype=np.int32)
        return cls(ordered, scores[order], places)

    def of_at_least(self, users: int) -> Self:
        """Those that so many users have rated."""
        enough = np.flatnonzero(self.counts >= users)
        order = enough[np.argsort(self.items[enough])]
        return self.ranked(self.items[order], self.counts[order])

    def place_of(self, items: Int32) -> Int32:
        """Where each of the items (m,) stands; -1 where it does not."""
        found = np.full(len(items), -1, np.int32)
        known = items < len(self.places)
        found[known] = self.places[items[known]]
        return found


@dataclass(frozen=True)
class Mix:
    """How lists become one of `top_k`: the names of their models, in their order, and how many
    `places` are set aside for each; `popular` is the name of what fills them up, and `in_segment`
    where that is a segment's.

    Where a list is shorter than its places, the others take them.
    """

    top_k: int
    models: tuple[str, ...]
    places: tuple[int, ...]
    popular: str
    in_segment: str = ""

    @classmethod
    def of(cls, top_k: int, shares: dict[str, float], popular: str, in_segment: str = "") -> Self:
        """By the share of the places of each model; half a place counts as one."""
        # 50 times 0.29 is a little less than 14.5
        places = tuple(int(top_k * share + 0.5 + 1e-9) for share in shares.values())
        return cls(top_k, tuple(shares), places, popular, in_segment)


def count_items(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A column of items to COUNTS, of a portion of the rows each."""
    for table in portions(batches, _PORTION):
        items, counts = np.unique(table.column(0).to_numpy(), return_counts=True)
        yield pa.record_batch([items.astype(np.int32), counts], schema=COUNTS)


def as_pieces(
    batches: Iterator[pa.RecordBatch], number: int, block_size: int
) -> Iterator[pa.RecordBatch]:
    """Columns row, column, score and rank to PIECES whose kind is the number of the list."""
    for batch in batches:
        rows, columns, scores = (batch.column(at).to_numpy() for at in range(3))
        yield from Entries(rows, columns, scores).pieces(rows // block_size, str(number))


@dataclass(frozen=True)
class Places(Arrays):
    """Places of lists: whose, which item, its score, and the number of the model, each (n,)."""

    users: Int32
    items: Int32
    scores: Float32
    models: Int32


def complete(
    pieces: Iterator[pa.RecordBatch], how: Mix, fillers: Shared
) -> Iterator[pa.RecordBatch]:
    """PIECES of lists, of kind EXCLUDED and of kind WANTED, those of a block after each other, to
    LISTED of those who are wanted. `fillers` are `segments.Fillers`.
    """
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        found = list(group)
        wanted = ids_of_kind(found, WANTED)
        if len(wanted):
            best = mixed(_lists(found, how), how)
            seen = Entries.decoded(piece for piece in found if piece["kind"] == EXCLUDED)
            filled = [_filled(group, best, seen, how) for group in fillers.value.groups(wanted)]
            yield listed(best, Places.joined([no_places(), *filled]), how)


def _filled(group: tuple[Int32, Popular, bool], best: Places, seen: Entries, how: Mix) -> Places:
    """For some users, by what is popular with all or in their segment; the model is the one after
    all others, or the next.
    """
    users, popular, in_segment = group
    own, theirs = best.take(np.isin(best.users, users)), seen.take(np.isin(seen.rows, users))
    filled = filling(users, own, theirs, popular, how)
    return replace(filled, models=filled.models + np.int32(in_segment))


def _lists(found: list[dict[str, Any]], how: Mix) -> Places:
    lists = []
    for number in range(len(how.models)):
        entries = Entries.decoded(piece for piece in found if piece["kind"] == str(number))
        models = np.full(len(entries.rows), number, np.int32)
        lists.append(Places(entries.rows, entries.columns, entries.values, models))
    return Places.joined(lists)


def mixed(lists: Places, how: Mix) -> Places:
    """The best `top_k` of each user, by user and score, no item of which is in two lists; each
    list has the places that are set aside for it.
    """
    by_list = _sorted(lists, lists.models)
    is_kept = place_among(by_list.users, by_list.models) < np.array(how.places)[by_list.models]
    order = np.lexsort((by_list.items, -by_list.scores, ~is_kept, by_list.users))
    chosen = by_list.take(order)
    return _sorted(chosen.take(place_among(chosen.users) < how.top_k))


def filling(wanted: Int32, best: Places, seen: Entries, popular: Popular, how: Mix) -> Places:
    """Popular items for the places that `best` leaves free, neither seen nor recommended already;
    the model is the one after all others.
    """
    given = np.bincount(np.searchsorted(wanted, best.users), minlength=len(wanted))
    short = np.flatnonzero(given < how.top_k)
    taken = np.concatenate([seen.rows, best.users])
    items = np.concatenate([seen.columns, best.items])
    of_short = np.isin(taken, wanted[short])
    taken, items = taken[of_short], items[of_short]
    counts = np.bincount(np.searchsorted(wanted, taken), minlength=len(wanted))
    parts = [no_places()]
    for some in _portions(short, counts, how.top_k, len(popular.items)):
        is_theirs = np.isin(taken, wanted[some])
        rows, places = _free(
            np.searchsorted(wanted[some], taken[is_theirs]),
            popular.place_of(items[is_theirs]),
            how.top_k - given[some],
            min(len(popular.items), int(counts[some].max()) + how.top_k),
        )
        users, models = wanted[some][rows], np.full(len(rows), len(how.models), np.int32)
        parts.append(Places(users, popular.items[places], popular.counts[places], models))
    return Places.joined(parts)


def no_places() -> Places:
    """Of lists that are empty."""
    ids = np.empty(0, np.int32)
    return Places(ids, ids, np.empty(0, np.float32), ids)


def _portions(short: Int64, counts: Int64, top_k: int, most: int) -> Iterator[Int64]:
    """The rows that are short, a few at a time, those alike who have taken many."""
    ordered = short[np.argsort(counts[short], kind="stable")]
    first = 0
    while first < len(ordered):
        # of those that follow, each has taken at least as many
        size = max(1, _CELLS // max(1, min(most, int(counts[ordered[first]]) + top_k)))
        last = ordered[min(first + size, len(ordered)) - 1]
        size = max(1, min(size, _CELLS // max(1, min(most, int(counts[last]) + top_k))))
        yield np.sort(ordered[first : first + size])
        first += size


def _free(rows: Int64, places: Int32, needed: Int64, width: int) -> tuple[Int64, Int64]:
    """Row and place of the first places, as many as each row (m,) needs, but those that are
    taken: (n,) rows and places.
    """
    is_free: Bool = np.ones((len(needed), width), bool)
    is_near = (places >= 0) & (places < width)
    is_free[rows[is_near], places[is_near]] = False
    chosen = is_free & (np.cumsum(is_free, axis=1) <= needed[:, None])
    found = np.nonzero(chosen)
    return found[0], found[1]


def listed(best: Places, filled: Places, how: Mix) -> pa.RecordBatch:
    """LISTED of places: what is filled up stands behind what is best."""
    both = Places.joined([best, filled])
    order = np.lexsort((np.arange(len(both.users)), both.models >= len(how.models), both.users))
    ordered = both.take(order)
    ranks = (place_among(ordered.users) + 1).astype(np.int32)
    names = pa.array([*how.models, how.popular, how.in_segment]).take(pa.array(ordered.models))
    columns = [ordered.users, ranks, ordered.items, ordered.scores, names]
    return pa.record_batch(columns, schema=LISTED)


def _sorted(lists: Places, first: Array | None = None) -> Places:
    """By user, and by `first` before that, the best score first, ties by the smaller item."""
    keys = (lists.items, -lists.scores, lists.users)
    return lists.take(np.lexsort(keys if first is None else (*keys, first)))
