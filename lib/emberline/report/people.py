"""People: a few users with what they rated and what is recommended to them, in pictures."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.datasets.drawing import draw
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import batches, rows_where
from emberline.report import overlays
from emberline.report.lists import badge_of, is_new
from emberline.report.pictures import clips_of, pictures_of
from emberline.serving.because import because
from emberline.serving.lookup import TOLD, reason_of
from emberline.serving.names import items_called, names_in

_MOST_RATED = 8
_EXPLAINED = 3  # lines of a list
Row = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """How an item is shown; `picture`, or its spectrogram, and `sound` are `data:` URIs."""

    title: str
    item_id: str
    picture: str | None
    sound: str | None = None

    @property
    def is_hidden(self) -> bool:
        """Whether it is not said which item it is."""
        return not self.item_id


@dataclass(frozen=True)
class Rated:
    """One rating in a user's history."""

    item: Item
    value: str
    when: str


@dataclass(frozen=True)
class Recommended:
    """One line of a user's list; `is_hit` where the user has rated the item among the ratings
    held out.
    """

    item: Item
    rank: int
    score: str
    badge: str
    is_new: bool
    is_hit: bool


@dataclass(frozen=True)
class Explained:
    """A line of a user's published list, and why it is there; `overlay` has the pixels of its
    picture that speak for it, as a `data:` URI.
    """

    item: Item
    why: str
    overlay: str | None = None


@dataclass(frozen=True)
class Person:
    """One user; `num_ratings` counts the ratings in training."""

    user_id: str
    num_ratings: int
    history: list[Rated]
    recommendations: list[Recommended]
    explained: list[Explained]


def people(
    inputs: Mapping[str, Dataset], count: int, seed: int, has_ratings: bool, min_users: int = 1
) -> list[Person]:
    """`count` users drawn, with the seed, among those who have a list: of those that were compared
    with the holdout, where there are such, for they alone may hold hits. Of an item that some,
    but fewer than `min_users` users have rated it is not said what it is.
    """
    recommended = inputs.get("holdout_recommendations", inputs.get("recommendations"))
    if not count or recommended is None:
        return []
    users = draw(recommended, count, seed)
    ids = _ids(inputs, users)
    told = Told(inputs, min_users)
    explained = explanations(told, users)
    ratings = _by_user(inputs["ratings"], users, ["item", "value", "timestamp"])
    lists = _by_user(recommended, users, ["item", "rank", "score", "model"])
    hits = _held_out(inputs, users)
    histories = {
        user: sorted(ratings[user], key=_explicit_order if has_ratings else _implicit_order)
        for user in users
    }
    shown = {
        row["item"] for user in users for row in (*histories[user][:_MOST_RATED], *lists[user])
    }
    listed = {row["item"] for user in users for row in lists[user]}
    items = told.items(shown, listed)
    return [
        Person(
            ids[user],
            len(ratings[user]),
            [_rated(row, items, has_ratings) for row in histories[user][:_MOST_RATED]],
            [
                _recommended(row, items, hits)
                for row in sorted(lists[user], key=lambda row: row["rank"])
            ],
            explained.get(user, []),
        )
        for user in users
    ]


def _ids(inputs: Mapping[str, Dataset], users: list[int]) -> dict[int, str]:
    """What users are called, those too who have rated nothing."""
    indices = pa.array(users, pa.int64())
    ids = names_in(inputs, "user", users).texts("user_id", indices).to_pylist()
    return dict(zip(users, ids, strict=True))


@dataclass(frozen=True)
class Told:
    """What may be told of items: of one that some, but fewer than `min_users` users have rated,
    which would tell of these, no more than that.
    """

    inputs: Mapping[str, Dataset]
    min_users: int

    def items(self, wanted: set[int], played: Set[int] = frozenset()) -> dict[int, Item]:
        """How each item is shown; of those that can be played, with their sounds."""
        few = self.few(wanted)
        known = items_of(self.inputs, wanted - few, played - few)
        hidden = Item(f"an item of fewer than {self.min_users} people", "", None)
        return {item: known.get(item, hidden) for item in wanted}

    def few(self, wanted: set[int]) -> set[int]:
        """Those of the items that too few have rated."""
        table = self.inputs.get("interactions", self.inputs.get("ratings"))
        if self.min_users == 1 or table is None:
            return set()
        counts = np.zeros(max(wanted, default=-1) + 1, np.int64)
        for batch in batches(table, ["item"]):
            found = np.bincount(batch["item"].to_numpy(), minlength=len(counts))
            counts += found[: len(counts)]
        return {item for item in wanted if 0 < counts[item] < self.min_users}


def explanations(told: Told, users: list[int]) -> dict[int, list[Explained]]:
    """By user, why the first lines of the published lists are there, and the line of which it is
    known which pixels speak for it, where reasons are told.
    """
    inputs = told.inputs
    if "reasons" not in inputs or "recommendations" not in inputs:
        return {}
    lists = _by_user(inputs["recommendations"], users, ["item", "rank", "model"])
    reasons = _by_user(inputs["reasons"], users, TOLD)
    seen = overlays.of_people(inputs)
    first = {
        user: [
            row
            for place, row in enumerate(sorted(rows, key=lambda row: row["rank"]))
            if place < _EXPLAINED or (user, row["item"]) in seen
        ]
        for user, rows in lists.items()
    }
    past = {row["past_item"] for rows in reasons.values() for row in rows} - {None}
    wanted = past | {row["item"] for rows in first.values() for row in rows}
    items, called, few = told.items(wanted), items_called(inputs, wanted), told.few(wanted)
    found: dict[int, list[Explained]] = {}
    for user, rows in first.items():
        for row in rows:
            own = [one for one in reasons[user] if one["item"] == row["item"]]
            ordered = sorted(own, key=lambda one: int(one["place"]))
            why = [reason_of(one, called) for one in ordered]
            overlay = None if row["item"] in few else seen.get((user, row["item"]))
            line = Explained(items[row["item"]], because(why, row["model"]), overlay)
            found.setdefault(user, []).append(line)
    return found


def items_of(
    inputs: Mapping[str, Dataset], wanted: set[int], played: Set[int] = frozenset()
) -> dict[int, Item]:
    """How each item is called, and its picture where it has one, or else its spectrogram; and its
    sound, of those that can be played.
    """
    pictures: dict[int, str] = {}
    for name in ("sounds", "images"):
        pictures |= pictures_of(inputs[name], wanted) if name in inputs else {}
    clips = clips_of(inputs["sounds"], played) if "sounds" in inputs else {}
    return {
        item: Item(called.shown, called.item_id, pictures.get(item), clips.get(item))
        for item, called in items_called(inputs, wanted).items()
    }


def _by_user(dataset: Dataset, users: list[int], columns: list[str]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {user: [] for user in users}
    for row in rows_where(dataset, "user", users, columns).to_pylist():
        found[row["user"]].append(row)
    return found


def _held_out(inputs: Mapping[str, Dataset], users: list[int]) -> set[tuple[int, int]]:
    if "holdout" not in inputs:
        return set()
    rows = rows_where(inputs["holdout"], "user", users, ["item"]).to_pylist()
    return {(row["user"], row["item"]) for row in rows}


def _time(row: Row) -> float:
    return row["timestamp"].timestamp() if row["timestamp"] else 0.0


def _implicit_order(row: Row) -> tuple[float, float, int]:
    """The latest first."""
    return -_time(row), -row["value"], row["item"]


def _explicit_order(row: Row) -> tuple[float, float, int]:
    """The highest rated first."""
    return -row["value"], -_time(row), row["item"]


def _rated(row: Row, items: dict[int, Item], has_ratings: bool) -> Rated:
    value = f"{row['value']:,g}" if row["value"] < 1e6 else f"{row['value']:.3g}"
    when = f"{row['timestamp']:%Y-%m-%d}" if row["timestamp"] else ""
    return Rated(items[row["item"]], f"★ {value}" if has_ratings else f"× {value}", when)


def _recommended(row: Row, items: dict[int, Item], hits: set[tuple[int, int]]) -> Recommended:
    model: str = row["model"]
    return Recommended(
        items[row["item"]],
        row["rank"],
        f"{row['score']:.3f}",
        badge_of(model),
        is_new(model),
        is_hit=(row["user"], row["item"]) in hits,
    )
