"""Outside ids and titles in the place of indices, for the columns of any table.

| column of the table | columns of the export |
|---|---|
| `user` | `user_id` |
| `item` | `item_id`, `title` |
| `neighbor` (of items) | `neighbor_id`, `neighbor_title` |
| `neighbor` (of users) | `neighbor_id` |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import manifest as manifests
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location

_TEXT = pa.string()
# the first that knows something says it
_SOURCES = {"user": ("users",), "item": ("item_attributes", "items", "images")}


@dataclass(frozen=True)
class Source:
    """One table that knows names: by index the row, -1 where there is none, and the texts of
    the rows.
    """

    places: npt.NDArray[np.int64]
    texts: dict[str, pa.ChunkedArray]

    def texts_of(self, column: str, indices: npt.NDArray[np.int64]) -> pa.Array:
        """The column's text for each index, null where it is not known."""
        inside = indices < len(self.places)
        found = np.where(
            inside, self.places[np.where(inside, indices, 0)] if len(self.places) else -1, -1
        )
        taken = self.texts[column].take(pa.array(found, mask=found < 0))
        return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken


@dataclass(frozen=True)
class Names:
    """The names of one side, users or items; those of all of them are held, as Arrow texts."""

    side: str
    sources: Sequence[Source]

    def texts(self, column: str, indices: pa.Array) -> pa.Array:
        """`user_id`, `item_id` or `title` of each index, null where no table knows it."""
        wanted = indices.to_numpy(zero_copy_only=False).astype(np.int64)
        known = [
            source.texts_of(column, wanted) for source in self.sources if column in source.texts
        ]
        return pc.coalesce(*known) if known else pa.nulls(len(indices), _TEXT)


def names_in(root: Location, side: str) -> Names:
    """The names of all users or items of a root. Raises ManifestError for a damaged table, and
    where no table has any.
    """
    there = [name for name in _SOURCES[side] if manifests.exists(root, name)] or [f"{side}s"]
    return Names(side, [_source(manifests.load(root, name), side) for name in there])


def _source(dataset: Dataset, side: str) -> Source:
    columns = [name for name in (f"{side}_id", "title") if name in TABLES[dataset.name].names]
    schema = pa.schema([TABLES[dataset.name].field(name) for name in (side, *columns)])
    table = pa.Table.from_batches(
        (batch.select(schema.names).cast(schema) for batch in rows.batches(dataset, schema.names)),
        schema,
    )
    indices = table[side].to_numpy()
    places = np.full(indices.max(initial=-1) + 1, -1, np.int64)
    places[indices] = np.arange(len(indices))
    return Source(places, {name: table[name] for name in columns})


class Naming:
    """What a table's batches become: each column of indices is replaced by the names of what it
    counts.
    """

    def __init__(self, root: Location, dataset: Dataset) -> None:
        fields = TABLES[dataset.name]
        self._sides = {
            "user": "user",
            "item": "item",
            "neighbor": "user" if "user" in fields.names else "item",
        }
        self._names = {
            side: names_in(root, side)
            for column, side in self._sides.items()
            if column in fields.names
        }
        self.schema = pa.schema([made for field in fields for made in self._fields(field, fields)])

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the table, in the columns of `schema`."""
        return pa.RecordBatch.from_arrays(
            [self._values(name, batch) for name in self.schema.names], schema=self.schema
        )

    def _fields(self, field: pa.Field, fields: pa.Schema) -> Iterator[pa.Field]:
        """An id or title that the table has itself is not looked up."""
        if field.name not in self._sides:
            yield field
            return
        made = [f"{field.name}_id"]
        if self._sides[field.name] == "item":
            made.append("title" if field.name == "item" else "neighbor_title")
        yield from (pa.field(name, _TEXT) for name in made if name not in fields.names)

    def _values(self, name: str, batch: pa.RecordBatch) -> Any:
        if name in batch.schema.names:
            return batch[name].cast(self.schema.field(name).type)
        column = (
            "neighbor" if name.startswith("neighbor") else "user" if name == "user_id" else "item"
        )
        side = self._sides[column]
        kind = "title" if name.endswith("title") else f"{side}_id"
        return self._names[side].texts(kind, batch[column])
