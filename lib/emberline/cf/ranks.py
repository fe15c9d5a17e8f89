"""How items that nobody has rated are ranked by predicted factors: each relevant item's place among
all of them, and what it adds to metrics, of its user and of itself.

With n relevant items of a user among N candidates, of which the one at place p (from 1) among the
relevant ones has rank r,

    auc                    the mean over them of 1 - (r - p) / (N - n)
    recall@k/n             the number of r <= k, divided by n
    recall@k/min(k,n)      the same, divided by min(k, n)
    ndcg@k                 the sum of 1 / log2(r + 1) over r <= k, divided by its largest possible
                           value (Jarvelin, Kekalainen 2002)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf import measures
from emberline.cf.blocks import Block, rows_of
from emberline.cf.entries import Entries, places_in
from emberline.cf.pieces import assembled
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
    pieces: Iterator[pa.RecordBatch],
    candidates: Shared,
    ks: tuple[int, ...],
    seed: int,
    number: int,
) -> Iterator[pa.RecordBatch]:
    """PIECES of users' factors and, of kind RELEVANT, of their relevant items, those of a block
    after each other, to measures.BLOCKS of the model of this number.

    They have the users who have factors and a relevant candidate, and sums of ITEMS_PER_BLOCK
    candidates a block, which `item_measures` reads.
    """
    found: dict[int, Float64] = {}
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        ranked = _of_block(list(group), candidates.value, seed)
        if ranked is not None:
            users, shares, added = terms(ranked, len(candidates.value.items), ks)
            values = [np.bincount(users, column) for column in added.T]
            ids = np.unique(ranked.users)
            yield measures.of_users(number, ids, np.column_stack(values), np.ones(len(ids)))
            both = np.column_stack([shares, added])
            for block, vector in _of_items(ranked.places, both, len(candidates.value.items)):
                found[block] = found[block] + vector if block in found else vector
    for block, vector in found.items():
        yield measures.of_sums(block, vector)


def item_measures(
    found: dict[int, Float64], num_candidates: int, num_terms: int
) -> tuple[Float64, Float64]:
    """Of sums by block, each candidate's metrics, (n, terms), NaN where it is relevant to nobody,
    and the share of the users that it stands for: (n,).

    So a metric, which is a mean over users, is the mean over items by their shares, too.
    """
    sums = np.zeros((num_candidates, 1 + num_terms))
    for block, vector in found.items():
        own = vector.reshape(-1, 1 + num_terms)
        sums[block * ITEMS_PER_BLOCK : block * ITEMS_PER_BLOCK + len(own)] = own
    shares, added = sums[:, 0], sums[:, 1:]
    known = (shares > 0)[:, None]
    return np.where(known, added / np.where(known, shares[:, None], 1), np.nan), shares


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


def _of_items(places: Int64, added: Float64, num_candidates: int) -> Iterator[tuple[int, Float64]]:
    """By block of candidates, the sums of what each of them adds: flat."""
    blocks = places // ITEMS_PER_BLOCK
    for block in np.unique(blocks).tolist():
        is_in = blocks == block
        size = min(ITEMS_PER_BLOCK, num_candidates - block * ITEMS_PER_BLOCK)
        at = places[is_in] - block * ITEMS_PER_BLOCK
        sums = [np.bincount(at, column, size) for column in added[is_in].T]
        yield block, np.column_stack(sums).astype(np.float64).ravel()


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
