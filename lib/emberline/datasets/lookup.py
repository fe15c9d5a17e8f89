"""One user's published recommendations, read without Spark."""

from dataclasses import dataclass

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import head, rows_where
from emberline.datasets.storage import Location
from emberline.errors import DataError


@dataclass(frozen=True)
class Recommendation:
    """One row of a user's list: rank from 1, the item's outside id, its title if it has one, score, and the ladder's rung."""

    rank: int
    item_id: str
    title: str | None
    score: float
    rung: str


def recommendations_of(root: Location, user_id: str, k: int) -> list[Recommendation]:
    """The first `k` recommendations of the user with this outside id, or as many as are published.

    Raises ManifestError where a dataset is missing, DataError for a user who is unknown or has no recommendations.
    """
    published, users, items = (manifests.load(root, name) for name in ("recommendations", "users", "items"))
    manifests.check_same_run([users, items])
    listed = rows_where(published, "user", _index_of(users, user_id), ["rank", "item", "score", "rung"])
    best = listed.sort_by("rank").slice(0, k).to_pylist()
    if not best:
        raise DataError(f"user {user_id!r} has no recommendations in {root}; rerun recommend")
    known = _names(root, items, [row["item"] for row in best])
    return [Recommendation(row["rank"], *known[row["item"]], row["score"], row["rung"]) for row in best]


def _names(root: Location, items: Dataset, wanted: list[int]) -> dict[int, tuple[str, str | None]]:
    """Outside id and title of items, from their attributes where there are any; of those that have a picture alone, the id."""
    found: dict[int, tuple[str, str | None]] = {}
    for name in ("items", "item_attributes", "images"):
        missing = [item for item in wanted if item not in found or found[item][1] is None]
        if missing and manifests.exists(root, name):
            dataset = items if name == "items" else manifests.load(root, name)
            columns = ["item_id", *(["title"] if name != "images" else [])]
            rows = rows_where(dataset, "item", missing, columns).to_pylist()
            found |= {row["item"]: (row["item_id"], row.get("title")) for row in rows}
    return found


def _index_of(users: Dataset, user_id: str) -> list[int]:
    found: list[int] = rows_where(users, "user_id", [user_id], ["user"])["user"].to_pylist()
    if not found:
        examples = ", ".join(repr(row["user_id"]) for row in head(users, 3).to_pylist())
        raise DataError(f"there is no user {user_id!r} among the {users.rows:,} of {users.folder} (such as {examples})")
    return found
