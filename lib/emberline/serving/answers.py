"""What answers for somebody whose events are given: lists, items that are alike, and reasons."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from emberline.cf import listing, topk
from emberline.cf.entries import Entries, places_in
from emberline.cf.listing import Mix, Places, Popular
from emberline.models import POPULAR
from emberline.numeric.arrays import Float32, Int32
from emberline.serving.events import Events
from emberline.serving.lists import Listed

_NOBODY = np.zeros(1, np.int32)


@dataclass(frozen=True)
class Because:
    """Of an item, a past one, what it contributes to the score, and by how much that would drop
    without it.
    """

    item: int
    past: int
    contribution: float
    drop: float


class Answers(Protocol):
    """What the model of a release's lists says of events, and of items."""

    @property
    def names(self) -> tuple[str, ...]:
        """The models whose lists are mixed, the main one first."""

    def lists(self, events: Events, k: int) -> Places:
        """The best k of each model, of what may be recommended and was not in the events."""

    def similar(self, item: int, k: int) -> list[Listed]:
        """The items most like one, the most alike first. Raises NotServedError for an item of
        which nothing is known.
        """

    def why(self, events: Events, items: Sequence[int], top: int) -> list[Because]:
        """For each item the events without which its score would drop most, these first."""


def full_list(
    answers: Answers, events: Events, k: int, cold_share: float, popular: Popular
) -> list[Listed]:
    """A list as the stage recommend makes them: mixed, and filled up with what is popular."""
    shares = dict.fromkeys(answers.names, 0.0)
    for name in answers.names[1:2]:
        shares[name] = cold_share
    mix = Mix.of(k, shares, POPULAR.name)
    best = listing.mixed(answers.lists(events, k), mix)
    seen = Entries(np.zeros(len(events.items), np.int32), events.items)
    filled = listing.filling(_NOBODY, best, seen, popular, mix)
    return as_listed(listing.listed(best, filled, mix))


def as_listed(batch: pa.RecordBatch) -> list[Listed]:
    """One user's LISTED."""
    return [
        Listed(row["rank"], row["item"], row["score"], row["model"]) for row in batch.to_pylist()
    ]


def best_of(
    scores: Float32, items: Int32, k: int, number: int, without: Int32, floor: float = -np.inf
) -> Places:
    """The k best of some items (n,), ascending, by their scores (n,), but those `without`."""
    if not len(items):
        return listing.no_places()
    places = places_in(items, without)
    scores[places[places >= 0]] = -np.inf
    best = topk.TopK(1, k, floor)
    best.add(0, scores[None, :], items)
    rows, columns, found, _ = topk.lists(best.keys)
    return Places(rows.astype(np.int32), columns, found, np.full(len(rows), number, np.int32))


def ranked(places: Places, names: Sequence[str], k: int) -> list[Listed]:
    """The k best of all places, whatever they are by; ties by the smaller item."""
    order = np.lexsort((places.items, -places.scores))[:k]
    return [
        Listed(rank, int(places.items[at]), float(places.scores[at]), names[places.models[at]])
        for rank, at in enumerate(order.tolist(), start=1)
    ]
