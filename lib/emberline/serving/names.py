"""What users and items are called: their ids in the data, and items' titles.

An item's title is that of its attributes, else that of the ratings; its id is known from any of its
tables, also from its picture alone. Every reader of tables asks here, so that an item is called the
same wherever it is shown.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location

Side = Literal["user", "item"]
Indices = npt.NDArray[np.int64]
# the tables that know names; the first that knows something says it
_TABLES: dict[Side, tuple[str, ...]] = {
    "user": ("users", "user_attributes"),
    "item": ("item_attributes", "items", "images", "sounds"),
}


@dataclass(frozen=True)
class Source:
    """One table that knows names: its indices, ascending, and the texts of their rows."""

    indices: Indices
    texts: Mapping[str, pa.ChunkedArray]

    def texts_of(self, column: str, wanted: Indices) -> pa.Array:
        """The column's text for each index, null where it is not known."""
        places = np.searchsorted(self.indices, wanted)
        inside = places < len(self.indices)
        places[~inside] = 0
        is_known = inside & (self.indices[places] == wanted) if len(self.indices) else inside
        taken = self.texts[column].take(pa.array(places, mask=~is_known))
        return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


@dataclass(frozen=True)
class Names:
    """The names of one side, held as Arrow texts."""

    side: Side
    sources: Sequence[Source]

    def texts(self, column: str, indices: pa.Array) -> pa.Array:
        """`user_id`, `item_id` or `title` of each index, null where no table knows it."""
        wanted = indices.to_numpy(zero_copy_only=False).astype(np.int64)
        known = [
            source.texts_of(column, wanted) for source in self.sources if column in source.texts
        ]
        return pc.coalesce(*known) if known else pa.nulls(len(indices), pa.string())


@dataclass(frozen=True)
class Item:
    """How an item is called."""

    item_id: str
    title: str | None

    @property
    def shown(self) -> str:
        """What people read: the title, or the id where there is none."""
        return self.title or self.item_id


def tables_in(root: Location, side: Side) -> dict[str, Dataset]:
    """The tables of a root that know names, by name. Raises ManifestError for a damaged one, and
    where there is none.
    """
    there = [name for name in _TABLES[side] if manifests.exists(root, name)] or [f"{side}s"]
    return {name: manifests.load(root, name) for name in there}


def names_in(
    tables: Mapping[str, Dataset], side: Side, wanted: Collection[int] | None = None
) -> Names:
    """The names of the users or items wanted, or of all, from those of the tables that know any.
    Raises DataError for a damaged part.
    """
    known = [tables[name] for name in _TABLES[side] if name in tables]
    return Names(side, [_source(dataset, side, wanted) for dataset in known])


def items_called(tables: Mapping[str, Dataset], wanted: Collection[int]) -> dict[int, Item]:
    """How each item is called; one that no table knows is called by its index."""
    return items_named(names_in(tables, "item", wanted), wanted)


def items_named(names: Names, wanted: Collection[int]) -> dict[int, Item]:
    """As `items_called`, by names that are at hand."""
    indices = pa.array(sorted(wanted), pa.int64())
    ids, titles = names.texts("item_id", indices), names.texts("title", indices)
    return {
        item: Item(item_id or f"item {item}", title)
        for item, item_id, title in zip(
            indices.to_pylist(), ids.to_pylist(), titles.to_pylist(), strict=True
        )
    }


def _source(dataset: Dataset, side: Side, wanted: Collection[int] | None) -> Source:
    columns = [name for name in (f"{side}_id", "title") if name in TABLES[dataset.name].names]
    table = _ascending(_rows(dataset, [side, *columns], wanted), side)
    return Source(table[side].to_numpy().astype(np.int64), {name: table[name] for name in columns})


def _rows(dataset: Dataset, columns: list[str], wanted: Collection[int] | None) -> pa.Table:
    """The columns, of which the first is the index, of the rows wanted, or of all."""
    if wanted is not None:
        return rows.rows_where(dataset, columns[0], wanted, columns[1:])
    return rows.whole(dataset, columns)


def _ascending(table: pa.Table, column: str) -> pa.Table:
    """The rows by their index, in which order most tables are written."""
    indices = table[column].to_numpy()
    return table if (indices[1:] > indices[:-1]).all() else table.sort_by(column)
