"""Neighbour lists that change only where enough people have changed them.

Whoever watches "people who bought this also bought" from one release to the next, and knows some of
what somebody has bought, sees what enters the lists of these at once, and so what that person has
bought since (Calandrino, Kilzer, Narayanan, Felten and Shmatikov, "You Might Also Like:" Privacy
Risks of Collaborative Filtering, 2011). So a pair of items is shown anew only where at least
`least` users who have both have got one of them since the pair was last shown anew; else it stays
as it was, in the list or out of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberline.numeric.arrays import Bool, Float32, Int32, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

ALWAYS = np.iinfo(np.int64).min  # before every time: a pair that was never shown
BY_USER = pa.schema(
    [
        ("block", pa.int32()),
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("time", pa.int64()),
    ]
)
CHANGES = pa.schema([("pair", pa.int64()), ("users", pa.int64())])
_EXPANDED = 1 << 22  # pairs of a user's items that are looked up at a time


@dataclass(frozen=True)
class Pairs:
    """Pairs (n,) of an item and a neighbour, by both, with the similarity that they have now (NaN:
    not among the nearest) and the one that is shown (NaN: not shown), and the newest event at the
    time that each was last shown anew, in microseconds.
    """

    items: Int32
    neighbors: Int32
    now: Float32
    shown: Float32
    since: Int64

    def keys(self) -> Int64:
        """A number for each pair, ascending."""
        found: Int64 = self.items.astype(np.int64) << 32 | self.neighbors
        return found


def joined(found: Pairs, before: Pairs) -> Pairs:
    """Pairs that are near now beside those that were, each once; one that was never shown counts
    from when its item's list first was, which the pair of the item with itself says.
    """
    keys = np.union1d(found.keys(), before.keys())
    items = (keys >> 32).astype(np.int32)
    now, shown = (np.full(len(keys), np.nan, np.float32) for _ in range(2))
    now[np.searchsorted(keys, found.keys())] = found.now
    places = np.searchsorted(keys, before.keys())
    shown[places] = before.shown
    is_own = before.items == before.neighbors
    begun = dict(zip(before.items[is_own].tolist(), before.since[is_own].tolist(), strict=True))
    since = np.array([begun.get(item, ALWAYS) for item in items.tolist()], np.int64)
    since[places] = before.since
    return Pairs(items, (keys & 0xFFFFFFFF).astype(np.int32), now, shown, since)


def count_changes(users: Int32, items: Int32, times: Int64, pairs: Pairs) -> Int64:
    """How many users of events (m,), each user's all here, have both items of each pair (n,), one
    of them since it was last shown anew.
    """
    width = np.int64(1) << 32
    keys = users.astype(np.int64) * width + items
    order = np.argsort(keys, kind="stable")
    keys, moments, own = keys[order], times[order], items[order]
    starts = np.searchsorted(pairs.items, own, "left")
    lengths = np.searchsorted(pairs.items, own, "right") - starts
    counts = np.zeros(len(pairs.items), np.int64)
    begin, ends = 0, np.cumsum(lengths)
    while begin < len(keys):
        done = ends[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(ends, done + _EXPANDED, "right")), begin + 1)
        places = np.repeat(np.arange(begin, stop), lengths[begin:stop])
        pair = starts[places] + place_among(places)
        wanted = (keys[places] & ~(width - 1)) + pairs.neighbors[pair]
        other = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        is_both = keys[other] == wanted
        newest = np.maximum(moments[places], moments[other])
        counts += np.bincount(pair[is_both & (newest > pairs.since[pair])], minlength=len(counts))
        begin = stop
    return counts


def settled(pairs: Pairs, changes: Int64, least: int, top_k: int, newest: int) -> Pairs:
    """The pairs as they are to be shown, at most `top_k` of an item, the most similar first to
    stay; `newest` is the time of the newest event.

    A pair that nobody has changed follows the others of its list: what stands behind it was shown
    before. A list none of whose pairs may change stays as it was.
    """
    may = changes >= least
    is_open = np.isin(pairs.items, pairs.items[may])
    is_free = may | (is_open & (changes == 0) & (pairs.since > ALWAYS))
    shown = np.where(is_free, pairs.now, pairs.shown)
    shown[pairs.items == pairs.neighbors] = np.nan
    shown[~_best(pairs.items, shown, top_k)] = np.nan
    return Pairs(pairs.items, pairs.neighbors, pairs.now, shown, np.where(may, newest, pairs.since))


def begun(pairs: Pairs, newest: int) -> Pairs:
    """With each item whose list is shown for the first time as a pair with itself."""
    items = np.unique(pairs.items[~np.isnan(pairs.shown)])
    new = np.setdiff1d(items, pairs.items[pairs.items == pairs.neighbors]).astype(np.int32)
    nothing = np.full(len(new), np.nan, np.float32)
    since = np.full(len(new), newest, np.int64)
    items, others = np.append(pairs.items, new), np.append(pairs.neighbors, new)
    order = np.lexsort((others, items))
    return Pairs(
        items[order],
        others[order],
        np.append(pairs.now, nothing)[order],
        np.append(pairs.shown, nothing)[order],
        np.append(pairs.since, since)[order],
    )


def _best(items: Int32, shown: Float32, top_k: int) -> Bool:
    """Whether each pair (n,) is among the `top_k` of its item, of those that have a similarity."""
    filled = np.nan_to_num(shown, nan=-np.inf)
    order = np.lexsort((-filled, items))
    chosen = np.zeros(len(items), bool)
    chosen[order] = place_among(items[order]) < top_k
    found: Bool = chosen & ~np.isnan(shown)
    return found


# --------------------------------------------------------------------------------------------------
# tasks


def by_user(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """Columns user, item and timestamp to BY_USER; what has no time is older than all else."""
    for batch in batches:
        user, item, moment = batch.columns
        times = moment.cast(pa.int64()).fill_null(ALWAYS + 1)
        block = (user.to_numpy() % blocks).astype(np.int32)
        yield pa.record_batch([block, user, item, times], schema=BY_USER)


def changes_of(batches: Iterator[pa.RecordBatch], pairs: Shared) -> Iterator[pa.RecordBatch]:
    """BY_USER, all rows of a user beside it, to CHANGES: pairs that anybody has changed."""
    rows = pa.Table.from_batches(list(batches), BY_USER)
    if rows.num_rows:
        users, items, times = (rows[name].to_numpy() for name in BY_USER.names[1:])
        counts = count_changes(users, items, times, pairs.value)
        changed = np.flatnonzero(counts)
        yield pa.record_batch([changed, counts[changed]], schema=CHANGES)
