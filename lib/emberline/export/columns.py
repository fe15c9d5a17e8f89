"""The columns of an export: outside ids and titles in the place of indices, for any table.

| column of the table | columns of the export |
|---|---|
| `user` | `user_id` |
| `item` | `item_id`, `title` |
| `neighbor` (of items) | `neighbor_id`, `neighbor_title` |
| `neighbor` (of users) | `neighbor_id` |
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from emberline.datasets.manifest import Dataset
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location
from emberline.serving.names import Side, names_in, tables_in

_TEXT = pa.string()


class Naming:
    """What a table's batches become: each column of indices is replaced by the names of what it
    counts.
    """

    def __init__(self, root: Location, dataset: Dataset) -> None:
        fields = TABLES[dataset.name]
        self._sides: dict[str, Side] = {
            "user": "user",
            "item": "item",
            "neighbor": "user" if "user" in fields.names else "item",
        }
        self._names = {
            side: names_in(tables_in(root, side), side)
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
