"""Some of a source's rows, as a source."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.datasets import rows
from emberline.datasets.rows import Task
from emberline.flow.rows import Rows, Source
from emberline.numeric.arrays import Int32


@dataclass(frozen=True)
class Chosen:
    """The rows of a source whose column is among some ids (n,) or, for `others`, is not."""

    source: Source
    column: str
    ids: Int32
    others: bool = False

    def count(self) -> int:
        """At most so many rows."""
        return self.source.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        place = list(columns).index(self.column)
        first = partial(rows.among, place=place, ids=self.ids, others=self.others)
        return self.source.map(columns, partial(rows.through, tasks=(first, task)), schema)


@dataclass(frozen=True)
class Withheld:
    """The rows of a holdout: of items withheld whole (`cold`), of all others, or (None) of both,
    those whose value is at least `least`, if it is given.
    """

    holdout: Source
    cold: bool | None
    least: float | None = None

    def count(self) -> int:
        """At most so many rows."""
        return self.holdout.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        first = partial(rows.withheld, cold=self.cold, least=self.least)
        both = partial(rows.through, tasks=(first, task))
        return self.holdout.map((*columns, "value", "cold"), both, schema)


def distinct(source: Source, column: str) -> Int32:
    """The ids that a column has: (n,), ascending."""
    schema = pa.schema([(column, pa.int32())])
    found = source.map((column,), rows.distinct, schema).table()[column]
    ids: Int32 = np.unique(found.to_numpy())
    return ids
