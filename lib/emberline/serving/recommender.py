"""Answers from what was published, or from a pipeline's root, without Spark, Java or TensorFlow:
NumPy, SciPy and pyarrow are all that it takes. docs/serving.md shows how to use it.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Self, TypeVar

from emberline import models
from emberline.cf.reason_kinds import EVENT, POPULAR
from emberline.datasets import released, storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, NotServedError
from emberline.logs import event
from emberline.serving.answers import full_list
from emberline.serving.events import Events, Given, merged, pairs_of
from emberline.serving.lists import Listed
from emberline.serving.lookup import TOLD, Reason, Recommendation, reason_of, reasons_of
from emberline.serving.names import items_named
from emberline.serving.served import Served

log = logging.getLogger(__name__)
T = TypeVar("T")
Told = dict[int, list[dict[str, Any]]]  # rows of the table `reasons` by item
_TOP = 3  # reasons of a place, as many as [explain] has


class Recommender:
    """What a release, or a root, answers. Threads may share one; one call is answered from one
    release.

    It is opened by `Recommender.open`, and closed by `close` or at the end of `with`.
    """

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self._pointer, place = _pointed(folder)
        self._served = Served.load(place)
        self._ends, self._looks = threading.Event(), threading.Lock()

    @classmethod
    def open(cls, place: str | PathLike[str], follow: float | None = 1.0) -> Self:
        """Read what was published to a folder, or a pipeline's root; `follow` is after how many
        seconds each it is looked whether another release has become current, None for never.

        Raises ManifestError where lists or ids are missing or torn.
        """
        opened = cls(storage.locate(str(place)))
        if follow is not None and opened._pointer is not None:
            threading.Thread(target=opened._follow, args=(follow,), daemon=True).start()
        return opened

    @property
    def release(self) -> str | None:
        """The release that is read; None where nothing was published, and a root is."""
        return self._served.place.name if self._pointer is not None else None

    def recommend(self, user_id: str, k: int = 10, why: bool = False) -> list[Recommendation]:
        """The first k rows of a user's published list, or as many as are published, with the
        published reasons, if it is asked `why`; for somebody unknown, what is popular.

        Raises NotServedError for a user without a list, and where no reasons were published.
        """
        return self._read_again(lambda: self._recommended(self._asked(k), user_id, k, why))

    def popular(self, k: int = 10) -> list[Recommendation]:
        """What somebody gets of whom nothing is known; at most as many as are published."""
        served = self._asked(k)
        return _named(served, served.most_popular(k), {})

    def similar(self, item_id: str, k: int = 10) -> list[Recommendation]:
        """The items most like one, of those that may be recommended: by the cosine of their
        factors, or by their neighbours, as the lists are made.

        Raises NotServedError for an item that is unknown, or of which nothing is known.
        """
        served = self._asked(k)
        return _named(served, served.needed().similar(_index_of(served, item_id), k), {})

    def fold_in(self, events: Given, k: int = 10, why: bool = False) -> list[Recommendation]:
        """A list for somebody who came a minute ago, as the pipeline would make it of their
        events: ids of items, each perhaps with a value, in their order; with reasons, if it is
        asked `why`.

        The user's factors are the exact least-squares answer to the items' factors, by what these
        were fitted to make small. Ids that no item has are left out; where none is known, what is
        popular is the answer. Raises ConfigError for what are no events.
        """
        served = self._asked(k)
        merged_events = _events(served, events)
        best = full_list(served.needed(), merged_events, k, served.cold_share, served.popular)
        told = _because(served, merged_events, best) if why else {}
        return _named(served, best, told)

    def unknown(self, events: Given) -> tuple[str, ...]:
        """Those of the events' ids that no item has."""
        return _events(self._served, events).unknown

    def why(
        self, item_id: str, *, user_id: str | None = None, events: Given | None = None
    ) -> tuple[Reason, ...]:
        """Why an item is in a user's published list, or would be in the list of somebody's
        events, the strongest reason first.

        Raises NotServedError for unknown ids, for an item that is not in the list, and where no
        reasons were published.
        """
        if (user_id is None) == (events is None):
            raise ConfigError("give either user_id or events")
        if user_id is not None:
            return self._read_again(lambda: self._published(self._served, user_id, item_id))
        served = self._served
        item = _index_of(served, item_id)
        listed = Listed(1, item, 0.0, "")
        told = _because(served, _events(served, events or ()), [listed])[item]
        called = items_named(served.names, _past(told))
        return tuple(reason_of(each, called) for each in told)

    def knows_user(self, user_id: str) -> bool:
        """Whether somebody is called so."""
        return self._served.users.index_of(user_id) is not None

    def knows_item(self, item_id: str) -> bool:
        """Whether an item is called so."""
        return self._served.items.index_of(item_id) is not None

    def refresh(self) -> bool:
        """Look now whether another release is current, and read that; whether it was. Raises what
        `open` raises, and what was read stays.
        """
        with self._looks:
            pointer, place = _pointed(self._folder)
            if pointer is None or pointer == self._pointer:
                return False
            served = Served.load(place)
            self._pointer, self._served = pointer, served
            return True

    def close(self) -> None:
        """Follow no longer."""
        self._ends.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _follow(self, seconds: float) -> None:
        while not self._ends.wait(seconds):
            try:
                if self.refresh():
                    log.info(event("release_followed", release=self.release))
            except (EmberlineError, OSError) as error:  # what was read before stays
                log.warning(event("release_not_followed", error=str(error)))

    def _asked(self, k: int) -> Served:
        """What a call is answered from. Raises ConfigError for less than one."""
        if k < 1:
            raise ConfigError(f"k = {k} items cannot be recommended; give 1 or more")
        return self._served

    def _recommended(self, served: Served, user_id: str, k: int, why: bool) -> list[Recommendation]:
        user = served.users.index_of(user_id)
        best = served.most_popular(k) if user is None else served.lists.of_user(user, k)
        if not best:
            raise NotServedError(f"user {user_id!r:.60} has no list in this release")
        return _named(served, best, reasons_of(served.place, user) if why else {})

    def _published(self, served: Served, user_id: str, item_id: str) -> tuple[Reason, ...]:
        if served.users.index_of(user_id) is None:
            raise NotServedError(f"there is no user {user_id!r:.60} in this release")
        _index_of(served, item_id)
        for row in self._recommended(served, user_id, len(served.lists.items), why=True):
            if row.item_id == item_id:
                return row.reasons
        raise NotServedError(f"item {item_id!r:.60} is not in the list of user {user_id!r:.60}")

    def _read_again(self, read: Callable[[], T]) -> T:
        """What is read from files, once more where a publish has just removed them."""
        try:
            return read()
        except (EmberlineError, OSError):
            if not self.refresh():
                raise
            return read()


def _pointed(folder: Location) -> tuple[bytes | None, Location]:
    """What says which release is current, and where that is; None and the folder itself where
    nothing was published.
    """
    path = folder / released.CURRENT
    if not path.is_file():
        return None, folder
    release, pointer = released.read_with_content(path)
    return pointer, released.place_of(folder, release.release)


def _index_of(served: Served, item_id: str) -> int:
    """Raises NotServedError for an id that no item has."""
    item = served.items.index_of(item_id)
    if item is None:
        raise NotServedError(f"there is no item {item_id!r:.60} in this release")
    return item


def _events(served: Served, given: Given) -> Events:
    return merged(pairs_of(given), served.valued, served.items.index_of)


def _because(served: Served, events: Events, best: Sequence[Listed]) -> Told:
    """Reasons of each place, as rows of the table `reasons` say them."""
    nothing: dict[str, Any] = dict.fromkeys(TOLD)
    popular = nothing | {"kind": POPULAR}
    is_popular = {row.item: row.model == models.POPULAR.name for row in best}
    told: Told = {item: [popular] if filled else [] for item, filled in is_popular.items()}
    scored = [item for item, filled in is_popular.items() if not filled]
    for each in served.needed().why(events, scored, _TOP):
        row = {"past_item": each.past, "contribution": each.contribution, "drop": each.drop}
        told[each.item].append(nothing | {"kind": EVENT, **row})
    return told


def _past(told: Sequence[Mapping[str, Any]]) -> set[int]:
    return {row["past_item"] for row in told if row["past_item"] is not None}


def _named(served: Served, best: Sequence[Listed], told: Told) -> list[Recommendation]:
    past = {item for rows in told.values() for item in _past(rows)}
    called = items_named(served.names, {row.item for row in best} | past)
    return [
        Recommendation(
            row.rank,
            called[row.item].item_id,
            called[row.item].title,
            row.score,
            row.model,
            tuple(reason_of(each, called) for each in told.get(row.item, ())),
        )
        for row in best
    ]
