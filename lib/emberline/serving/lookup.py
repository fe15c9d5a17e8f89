"""One user's published recommendations, read without Spark; for somebody unknown, what is
popular.
"""

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


@dataclass(frozen=True)
class Recommendation:
    """One row of a user's list: rank from 1, the item's outside id, its title if it has one,
    score, and the model that it is by.
    """

    rank: int
    item_id: str
    title: str | None
    score: float
    model: str


def recommendations_of(root: Location, user_id: str, k: int) -> list[Recommendation]:
    """The first `k` recommendations of the user with this outside id, or as many as are published.

    A user who is unknown gets what is popular. Raises ManifestError where a dataset is missing,
    DataError for a user without recommendations, or who is unknown where nobody has published what
    is popular.
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
        raise DataError(f"user {user_id!r} has no recommendations in {root}; rerun recommend")
    called = items_called(tables_in(root, "item"), {row["item"] for row in best})
    return [_named(row, called[row["item"]]) for row in best]


def is_known(root: Location, user_id: str) -> bool:
    """Whether a user of this outside id is in a root."""
    return _index_of(root, user_id) is not None


def _named(row: dict[str, Any], item: Item) -> Recommendation:
    return Recommendation(row["rank"], item.item_id, item.title, row["score"], row["model"])


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
