"""How items that nobody has rated are ranked by predicted factors: each relevant item's place among
all of them, and what it adds to metrics.

With n relevant items of a user among N candidates, of which the one at place p (from 1) among the
relevant ones has rank r,

    auc                    the mean over them of 1 - (r - p) / (N - n)
    recall@k/n             the number of r <= k, divided by n
    recall@k/min(k,n)      the same, divided by min(k, n)
    ndcg@k                 the sum of 1 / log2(r + 1) over r <= k, divided by its largest possible
                           value (Jarvelin, Kekalainen 2002)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import Block, rows_of
from emberline.cf.entries import Entries, places_in
from emberline.cf.metrics import Sums
from emberline.cf.pieces import assembled
from emberline.cf.sums import decoded, encoded
from emberline.numeric import xxhash
from emberline.numeric.arrays import Float32, Float64, Int32, Int64
from emberline.numeric.shared import Shared

RELEVANT = "relevant"
ITEMS_PER_BLOCK = 4096
_TIE = 1e-6  # scores this near to each other, as shares of the larger of 1 and the score, are equal
_SCORES = 1 << 22  # in memory at a time, and compared


@dataclass(frozen=True)
class Candidates:
    """The items (n,), ascending, that compete, and what a model predicts of each: (n, rank)."""

    items: Int32
    factors: Float32


@dataclass(frozen=True)
class Ranked:
    """A user, one of their relevant items by its place among the candidates, and its rank from 1,
    each (m,).
    """

    users: Int32
    places: Int64
    ranks: Int64


def names_of(ks: tuple[int, ...]) -> list[str]:
    """The metrics, in the order of `terms`."""
    each = ("recall@{k}/n", "recall@{k}/min(k,n)", "ndcg@{k}")
    return ["auc", *(name.format(k=k) for k in ks for name in each)]


def measure(
    pieces: Iterator[pa.RecordBatch], candidates: Shared, ks: tuple[int, ...], seed: int
) -> Iterator[pa.RecordBatch]:
    """PIECES of users' factors and, of kind RELEVANT, of their relevant items, those of a block
    after each other, to SUMS.

    Block 0 is the `Sums` of the metrics of those users who have factors and a relevant candidate.
    From 1 on, blocks are of ITEMS_PER_BLOCK candidates, and of each the share of users that it
    stands for, and what it adds to their metrics.
    """
    found: dict[int, Float64] = {}
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        ranked = _of_block(list(group), candidates.value, seed)
        if ranked is not None:
            for block, vector in _sums(ranked, len(candidates.value.items), ks):
                found[block] = found[block] + vector if block in found else vector
    if found:
        yield encoded(found)


def item_moments(batches: Iterator[pa.RecordBatch], num_terms: int) -> Iterator[pa.RecordBatch]:
    """SUMS of everybody: of blocks of items, their number, the sums of w and w^2, and the sums of
    c, c^2 and c w for each metric, flat, in place of each item's share w and of what it adds, c.
    """
    for batch in batches:
        found = decoded(rows_of(iter([batch])))
        for block in found:
            if block:
                shares, *terms = found[block].reshape(-1, 1 + num_terms).T
                moments = [(shares > 0).sum(), shares.sum(), shares @ shares]
                for term in terms:
                    moments += [term.sum(), term @ term, term @ shares]
                found[block] = np.array(moments)
        yield encoded(found)


def item_errors(found: Mapping[int, Float64]) -> Float64:
    """Of `item_moments`, the standard errors of the metrics (n,) with the items as the sample; NaN
    where there is one item.

    A mean over users is the ratio of two sums over items, of their terms c and of their shares w of
    the users; its variance is about `n / (n - 1) * sum (c - ratio w)^2 / (sum w)^2` (Cochran 1977,
    section 2.11).
    """
    sums = np.sum([vector for block, vector in found.items() if block], axis=0)
    items, w, ww, *moments = sums
    c, cc, cw = np.array(moments).reshape(-1, 3).T
    squares = cc - 2 * (c / w) * cw + (c / w) ** 2 * ww
    if items < 2:
        return np.full(len(c), np.nan)
    errors: Float64 = np.sqrt(np.maximum(squares, 0) * items / (items - 1)) / w
    return errors


def _of_block(found: list[dict[str, Any]], candidates: Candidates, seed: int) -> Ranked | None:
    """None where no user of the block counts."""
    users, _ = assembled(piece for piece in found if piece["kind"] != RELEVANT)
    relevant = Entries.decoded(piece for piece in found if piece["kind"] == RELEVANT)
    if users is None:
        return None
    rows, places = (
        places_in(users.ids, relevant.rows),
        places_in(candidates.items, relevant.columns),
    )
    known = (rows >= 0) & (places >= 0)
    if not known.any():
        return None
    return ranks_of(users, candidates, rows[known], places[known], seed)


def ranks_of(users: Block, candidates: Candidates, rows: Int64, places: Int64, seed: int) -> Ranked:
    """The rank of each pair (m,) of a user, by its row in the block, and a candidate, by the user's
    scores. Among items of equal score a place is drawn, with the seed.
    """
    order = np.argsort(rows, kind="stable")
    rows, places = rows[order], places[order]
    above, equal = _compared(users.dense(), candidates.factors, rows, places)
    own, items = users.ids[rows], candidates.items[places]
    draws = np.mod(_ties(seed, own, items), np.maximum(equal, 1))
    return Ranked(own, places, 1 + above + draws)


def _ties(seed: int, users: Int32, items: Int32) -> Int64:
    hashes = xxhash.of_int32(np.array([seed], np.int32), np.array([xxhash.FIRST_SEED]))
    text = np.frombuffer(b"ties", np.uint8)
    hashes = xxhash.of_texts(text, np.array([0, len(text)], np.int32), hashes)
    return xxhash.of_int32(items, xxhash.of_int32(users, hashes)).view(np.int64)


def _compared(
    users: Float32, candidates: Float32, rows: Int64, places: Int64
) -> tuple[Int64, Int64]:
    """Of each pair (m,), by row of users, how many candidates score above it, and how many like
    it, itself among them.
    """
    portion = max(1, _SCORES // max(1, len(candidates)))
    above, equal = np.empty(len(rows), np.int64), np.empty(len(rows), np.int64)
    for first in range(0, len(rows), portion):
        some = slice(first, first + portion)
        distinct, at = np.unique(rows[some], return_inverse=True)
        scores = (users[distinct] @ candidates.T)[at]
        own = scores[np.arange(len(at)), places[some]]
        width = _TIE * np.maximum(1, np.abs(own))
        above[some] = (scores > (own + width)[:, None]).sum(axis=1)
        equal[some] = (scores >= (own - width)[:, None]).sum(axis=1) - above[some]
    return above, equal


def _sums(
    ranked: Ranked, num_candidates: int, ks: tuple[int, ...]
) -> Iterator[tuple[int, Float64]]:
    users, shares, added = terms(ranked, num_candidates, ks)
    each = [np.bincount(users, column, int(users.max()) + 1) for column in added.T]
    yield 0, Sums.of(np.column_stack(each).astype(np.float64)).to_vector()
    both = np.column_stack([shares, added])
    blocks = ranked.places // ITEMS_PER_BLOCK
    for block in np.unique(blocks).tolist():
        is_in = blocks == block
        size = min(ITEMS_PER_BLOCK, num_candidates - block * ITEMS_PER_BLOCK)
        at = ranked.places[is_in] - block * ITEMS_PER_BLOCK
        sums = [np.bincount(at, column, size) for column in both[is_in].T]
        yield 1 + block, np.column_stack(sums).astype(np.float64).ravel()


def terms(
    ranked: Ranked, num_candidates: int, ks: tuple[int, ...]
) -> tuple[Int64, Float64, Float64]:
    """Each one's user, as a number without gaps (m,), the share of that user that it stands for
    (m,), and what it adds to their metrics: (m, 1 + 3 * len(ks)).
    """
    _, users, counts = np.unique(ranked.users, return_inverse=True, return_counts=True)
    order = np.lexsort((ranked.places, ranked.ranks, users))
    # rank - place irrelevant items are above
    place = np.empty(len(users), np.int64)
    place[order] = np.arange(len(users)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    relevant, rank = counts[users], ranked.ranks
    others = np.maximum(num_candidates - relevant, 1)
    added = [(1 - (rank - place) / others) / relevant]
    for k in ks:
        is_hit, reachable = rank <= k, np.minimum(relevant, k)
        best = np.cumsum(1 / np.log2(np.arange(1, k + 1) + 1))
        added += [
            is_hit / relevant,
            is_hit / reachable,
            is_hit / np.log2(rank + 1) / best[reachable - 1],
        ]
    return users, 1 / relevant, np.column_stack(added)
