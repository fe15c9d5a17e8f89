"""One user's published recommendations, read without Spark."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError


@dataclass(frozen=True)
class Recommendation:
    """One row of a user's list: rank from 1, the item's outside id, its title if it has one, score, and the ladder's rung."""

    rank: int
    item_id: str
    title: str | None
    score: float
    rung: str


def recommendations_of(root: Path, user_id: str, k: int) -> list[Recommendation]:
    """The first `k` recommendations of the user with this outside id, or as many as are published.

    Raises ManifestError where a dataset is missing, DataError for a user who is unknown or has no recommendations.
    """
    published, users, items = (manifests.load(root, name) for name in ("recommendations", "users", "items"))
    manifests.check_same_run([users, items])
    best = _rows(published, "user", _index_of(users, user_id)).sort_by("rank").slice(0, k).to_pylist()
    if not best:
        raise DataError(f"user {user_id!r} has no recommendations in {root}; rerun recommend")
    known = _names(root, items, [row["item"] for row in best])
    return [Recommendation(row["rank"], *known[row["item"]], row["score"], row["rung"]) for row in best]


def _names(root: Path, items: Dataset, wanted: list[int]) -> dict[int, tuple[str, str | None]]:
    """Outside id and title of items, from their attributes where there are any; of those that have a picture alone, the id."""
    found: dict[int, tuple[str, str | None]] = {}
    for name in ("items", "item_attributes", "images"):
        missing = [item for item in wanted if item not in found or found[item][1] is None]
        if missing and manifests.exists(root, name):
            dataset = items if name == "items" else manifests.load(root, name)
            columns = ["item", "item_id", *(["title"] if name != "images" else [])]
            rows = _rows(dataset, "item", missing, columns).to_pylist()
            found |= {row["item"]: (row["item_id"], row.get("title")) for row in rows}
    return found


def head(dataset: Dataset, rows: int) -> pa.Table:
    """The first rows of a table, reading no more parts and row groups than they need. Raises DataError for a damaged part."""
    found: list[pa.Table] = []
    missing = rows
    for path in dataset.paths:
        if missing <= 0:
            break
        with manifests.damage_explained(dataset, path):
            file = pq.ParquetFile(path, page_checksum_verification=True)
            for group in range(file.num_row_groups):
                if missing > 0:
                    found.append(file.read_row_group(group).slice(0, missing))
                    missing -= found[-1].num_rows
    return pa.concat_tables(found) if found else pa.table({})


def _index_of(users: Dataset, user_id: str) -> list[int]:
    found: list[int] = _rows(users, "user_id", [user_id])["user"].to_pylist()
    if not found:
        examples = ", ".join(repr(row["user_id"]) for row in head(users, 3).to_pylist())
        raise DataError(f"there is no user {user_id!r} among the {users.rows:,} of {users.folder} (such as {examples})")
    return found


def _rows(dataset: Dataset, column: str, values: list[int] | list[str], columns: list[str] | None = None) -> pa.Table:
    """The rows whose column is one of the values; row groups that cannot hold one are not read."""
    found = []
    for path in dataset.paths:
        with manifests.damage_explained(dataset, path):
            rows = pq.read_table(path, columns=columns, filters=pc.field(column).isin(values), page_checksum_verification=True)
            found.append(rows)
    return pa.concat_tables(found)
