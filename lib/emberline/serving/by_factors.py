"""Answers by factors: the user's, folded in, times the items' own or those predicted for them.

Of items in few bytes all are scored by int8, and the best 4 k once more, by all that is known of
them. Where there is an index, it names the best 4 k, and no others are scored; what may not be
listed is left out of these, so that all are scored where too few are left.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from emberline.cf import reasons
from emberline.cf.als.folding import Fixed
from emberline.cf.blocks import Block
from emberline.cf.entries import places_in
from emberline.cf.equations import Common
from emberline.cf.listing import Places, no_places
from emberline.cf.reasons import Targets
from emberline.errors import NotServedError
from emberline.nearest import Nearest
from emberline.numeric.arrays import Bool, Float32, Int32, Int64
from emberline.serving.answers import Because, best_of, ranked
from emberline.serving.events import Events
from emberline.serving.lists import Listed
from emberline.serving.vectors import Exact, Vectors, lengths

_RESCORED = 4  # times as many as are asked for


@dataclass(frozen=True)
class Scored:
    """The items (n,), ascending, that a model scores, their factors as tables have them, which of
    them may be recommended (n,), and what makes scores compare with other models': factors less a
    `centre` (rank,), times a `slope`, and something `added`. By `nearest` the best are found.
    """

    model: str
    items: Int32
    factors: Vectors
    may_be_listed: Bool
    nearest: Nearest | None = None
    slope: float = 1.0
    centre: Float32 | None = None
    added: float = 0.0

    def compared_rows(self, places: Int64) -> Float32:
        """The factors whose products, but for what is added, are such scores: (n, rank)."""
        rows = self.factors.rows(places)
        if self.centre is None:
            return rows
        found: Float32 = (self.slope * (rows - self.centre)).astype(np.float32)
        return found

    def compared(self, scores: Float32, vector: Float32) -> Float32:
        """Scores (n,) of a user as those of other models are."""
        if self.centre is None:
            return scores
        found = self.slope * (scores - self.centre @ vector) + self.added
        return found.astype(np.float32)


class ByFactors:
    """`fixed` is of the items that have factors of their own, the first of `scored`."""

    def __init__(self, fixed: Fixed, scored: Sequence[Scored]) -> None:
        self.names = tuple(each.model for each in scored)
        self._fixed, self._scored = fixed, scored
        self._biases = 2 * fixed.objective.biases  # what follows a row's vector in tables
        width = len(fixed.grams.each) - fixed.objective.biases
        nothing = np.empty((0, len(fixed.grams.each)), np.float32)
        self._common = Common.of(nothing, fixed.grams, fixed.objective)
        self._lengths = [lengths(each.factors, width) for each in scored]

    def lists(self, events: Events, k: int) -> Places:
        block, others, _ = self._block(events)
        if not len(others):
            return no_places()
        (user,) = self._fixed.fold_in(block, others)
        found = [
            _best(each, number, user, k, events.items) for number, each in enumerate(self._scored)
        ]
        return Places.joined(
            [
                replace(own, scores=each.compared(own.scores, user))
                for each, own in zip(self._scored, found, strict=True)
            ]
        )

    def similar(self, item: int, k: int) -> list[Listed]:
        number, place = self._place_of(item)
        wanted = self._scored[number].factors.rows(np.array([place]))[0].copy()
        wanted[len(wanted) - self._biases :] = 0
        wanted /= self._lengths[number][place]
        found = [
            _best(each, at, wanted, k, np.array([item], np.int32), self._lengths[at])
            for at, each in enumerate(self._scored)
        ]
        return ranked(Places.joined(found), self.names, k)

    def why(self, events: Events, items: Sequence[int], top: int) -> list[Because]:
        block, others, past = self._block(events)
        if not len(others) or not items:
            return []
        told = np.ones(len(others), bool)
        common = self._common.with_items(others)
        found = reasons.of_events(block, common, self._targets(items), told, top)
        rows = zip(found.items, past[found.past], found.contributions, found.drops, strict=True)
        return [Because(int(a), int(b), float(c), float(d)) for a, b, c, d in rows]

    def _targets(self, items: Sequence[int]) -> Targets:
        """Raises NotServedError for an item of which nothing is known."""
        places = [self._place_of(item) for item in items]
        rows = [self._scored[number].compared_rows(np.array([place])) for number, place in places]
        factors = np.concatenate(rows)
        if self._biases:
            factors = factors[:, :-1]  # what a user's vector and bias are multiplied by
        return Targets(np.array([items], np.int32), factors[None])

    def _block(self, events: Events) -> tuple[Block, Float32, Int32]:
        """The events of items that have factors, as one row whose columns are rows of these items'
        factors, and which items these are.
        """
        places = places_in(self._scored[0].items, events.items)
        known = places >= 0
        count = int(known.sum())
        row = (np.zeros(1, np.int32), np.array([0, count], np.int64))
        block = Block(*row, np.arange(count, dtype=np.int32), events.values[known])
        others = self._fixed.inside(self._scored[0].factors.rows(places[known]))
        return block, others, events.items[known]

    def _place_of(self, item: int) -> tuple[int, int]:
        """Which model scores an item, and its place there."""
        for number, each in enumerate(self._scored):
            (place,) = places_in(each.items, np.array([item], np.int32)).tolist()
            if place >= 0:
                return number, place
        raise NotServedError("nothing is known by which that item could be compared")


def _best(
    each: Scored,
    number: int,
    vector: Float32,
    k: int,
    without: Int32,
    divided_by: Float32 | None = None,
) -> Places:
    """The k items of the largest products with a vector, divided by something of each (n,)."""
    if divided_by is None and (near := _near(each, vector, k, without)) is not None:
        return best_of(each.factors.rows(near) @ vector, each.items[near], k, number, without)
    scores = each.factors.scores(vector)
    if divided_by is not None:
        scores /= divided_by
    scores[~each.may_be_listed] = -np.inf
    if isinstance(each.factors, Exact):
        return best_of(scores, each.items, k, number, without)
    known = places_in(each.items, without)
    scores[known[known >= 0]] = -np.inf
    near = _largest(scores, min(len(scores), _RESCORED * k))
    exact = each.factors.rows(near) @ vector
    if divided_by is not None:
        exact /= divided_by[near]
    exact[np.isneginf(scores[near])] = -np.inf
    return best_of(exact, each.items[near], k, number, without)


def _near(each: Scored, vector: Float32, k: int, without: Int32) -> Int64 | None:
    """The places, ascending, of what an index finds of those that may be listed, at least k; None
    without one, or where it does not find so many.
    """
    if each.nearest is None:
        return None
    places = each.nearest.near(vector, _RESCORED * k + len(without))
    fit = places[each.may_be_listed[places] & ~np.isin(each.items[places], without)]
    return fit if len(fit) >= k else None


def _largest(scores: Float32, count: int) -> Int64:
    """The places, ascending, of so many of the largest scores (n,)."""
    first = len(scores) - count
    return np.sort(np.argpartition(scores, first)[first:]) if first else np.arange(count)
