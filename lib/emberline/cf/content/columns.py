"""Which columns of what is known there are, beside those of fixed names: numbers, categories and
lists, each of which has a place in a list of its kind.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LISTS, TEXTS, LABELS = ("genres", "tags"), ("title", "text"), ("label",)


@dataclass(frozen=True)
class Columns:
    """The names of those columns, in their order; no name is two columns'."""

    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All columns of one word each."""
        return (*LABELS, *self.categories)

    @property
    def words(self) -> tuple[str, ...]:
        """All columns of a list of words each."""
        return (*LISTS, *self.lists)

    def of(self, rows: pa.RecordBatch, column: str) -> pa.Array:
        """The values (rows,) of a column that is no number."""
        for kind, names in self._kinds():
            if column in names:
                every, place = pc.list_flatten(rows[kind]), names.index(column)
                return every.take(pa.array(np.arange(place, len(every), len(names))))
        return rows[column]

    def replaced(self, rows: pa.RecordBatch, column: str, values: pa.Array) -> pa.RecordBatch:
        """The rows with other values (rows,) of a column that is no number."""
        given = {column: values}
        for kind, names in self._kinds():
            if column in names:
                given = {kind: self._with(rows, kind, names.index(column), len(names), values)}
        found = [given.get(name, rows[name]) for name in rows.schema.names]
        return pa.record_batch(found, names=rows.schema.names)

    def _kinds(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return ("categories", self.categories), ("lists", self.lists)

    @staticmethod
    def _with(rows: pa.RecordBatch, kind: str, place: int, width: int, new: pa.Array) -> pa.Array:
        every = pc.list_flatten(rows[kind])
        order = np.arange(len(every))
        order[place::width] = len(every) + np.arange(rows.num_rows)
        offsets = pa.array(np.arange(rows.num_rows + 1) * width, pa.int32())
        both = pa.concat_arrays([every, new.cast(every.type)])
        return pa.ListArray.from_arrays(offsets, both.take(pa.array(order)))
