"""One user's published recommendations, read without Spark; for somebody unknown, what is
popular.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import head, rows_where
from emberline.datasets.storage import Location
from emberline.errors import DataError
from emberline.models import POPULAR
from emberline.serving.names import Item, items_called, tables_in

# of a row of reasons
TOLD = ["item", "place", "kind", "past_item", "attribute", "word", "contribution", "drop"]


@dataclass(frozen=True)
class Reason:
    """Why an item is in a list: `kind` is event, neighbor, attribute, segment or popular; of an
    event the past item, and of an attribute its column (or two) and the word that matters most;
    what it contributes to the score, and by how much that would drop without it.
    """

    kind: str
    past: Item | None = None
    attribute: str | None = None
    word: str | None = None
    contribution: float | None = None
    drop: float | None = None


@dataclass(frozen=True)
class Recommendation:
    """One row of a user's list: rank from 1, the item's outside id, its title if it has one,
    score, the model that it is by, and, where they were asked for, reasons, the strongest first.
    """

    rank: int
    item_id: str
    title: str | None
    score: float
    model: str
    reasons: tuple[Reason, ...] = ()


def recommendations_of(
    root: Location, user_id: str, k: int, why: bool = False
) -> list[Recommendation]:
    """The first `k` recommendations of the user with this outside id, or as many as are published;
    with reasons, if it is asked `why`.

    A user who is unknown gets what is popular. Raises ManifestError where a dataset is missing,
    DataError for a user without recommendations, or who is unknown where nobody has published what
    is popular, and where nobody has published reasons that are asked for.
    """
    published, users, items = (
        manifests.load(root, name) for name in ("recommendations", "users", "items")
    )
    manifests.check_same_run([users, items])
    user = _index_of(root, user_id)
    if user is None:
        best = [
            row | {"model": POPULAR.name} for row in _popular(root, users, user_id).to_pylist()[:k]
        ]
    else:
        listed = rows_where(published, "user", [user], ["rank", "item", "score", "model"])
        best = listed.sort_by("rank").slice(0, k).to_pylist()
    if not best:
        raise DataError(
            f"user {user_id!r} has no recommendations in {root}: rerun recommend, whose setting"
            " users may say who gets lists"
        )
    told = reasons_of(root, user) if why else {}
    wanted = {row["item"] for row in best}
    wanted |= {
        row["past_item"] for rows in told.values() for row in rows if row["past_item"] is not None
    }
    called = items_called(tables_in(root, "item"), wanted)
    return [_named(row, called, told.get(row["item"], [])) for row in best]


def reasons_of(root: Location, user: int | None) -> dict[int, list[dict[str, Any]]]:
    """Rows of reasons of a user's list by the item that is recommended; none of nobody. Raises
    DataError where nobody has published reasons.
    """
    if not manifests.exists(root, "reasons"):
        raise DataError(
            f"there are no reasons in {root}: add a section [explain] to the pipeline, and run it"
        )
    told = manifests.load(root, "reasons")
    manifests.check_made_from(told, manifests.load(root, "recommendations"))
    found: dict[int, list[dict[str, Any]]] = {}
    if user is not None:
        for row in rows_where(told, "user", [user], TOLD).sort_by("place").to_pylist():
            found.setdefault(row["item"], []).append(row)
    return found


def reason_of(row: dict[str, Any], called: Mapping[int, Item]) -> Reason:
    """A row of `reasons`, with the columns TOLD."""
    past = called.get(row["past_item"])
    said = (row["attribute"], row["word"])
    return Reason(row["kind"], past, *said, row["contribution"], row["drop"])


def is_known(root: Location, user_id: str) -> bool:
    """Whether a user of this outside id is in a root."""
    return _index_of(root, user_id) is not None


def _named(
    row: dict[str, Any], called: dict[int, Item], told: list[dict[str, Any]]
) -> Recommendation:
    item = called[row["item"]]
    reasons = tuple(reason_of(one, called) for one in told)
    place = (row["rank"], item.item_id, item.title, row["score"], row["model"])
    return Recommendation(*place, reasons)


def _popular(root: Location, users: Dataset, user_id: str) -> pa.Table:
    if not manifests.exists(root, "popular_items"):
        examples = ", ".join(repr(row["user_id"]) for row in head(users, 3).to_pylist())
        raise DataError(
            f"there is no user {user_id!r} among the {users.rows:,} of {users.folder} (such as"
            f" {examples}), and no table popular_items, which recommend writes for whoever is"
            " unknown"
        )
    popular = manifests.load(root, "popular_items")
    return head(popular, popular.rows).sort_by("rank")


def _index_of(root: Location, user_id: str) -> int | None:
    """That of a user who has rated something, or is known otherwise."""
    try:
        user_id.encode()
    except UnicodeEncodeError:  # bytes of the command line that are no text: nobody's id
        return None
    for table in tables_in(root, "user").values():
        found: list[int] = rows_where(table, "user_id", [user_id], ["user"])["user"].to_pylist()
        if found:
            return found[0]
    return None
