"""Outside ids of one side, and the indices that tables have for them."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import whole
from emberline.numeric.arrays import Int32
from emberline.serving.names import Side


@dataclass(frozen=True)
class OutsideIds:
    """Ids as Arrow texts (n,), ascending, and their indices (n,): a look-up is a search by
    halves, and of each id nothing is held but its bytes and its index.
    """

    texts: pa.Array
    indices: Int32

    @classmethod
    def of(cls, tables: Mapping[str, Dataset], side: Side) -> Self:
        """Of the tables that know names of a side. Raises DataError for a damaged part."""
        columns = [f"{side}_id", side]
        schema = pa.schema([(columns[0], pa.large_string()), (columns[1], pa.int32())])
        every = [whole(dataset, columns).cast(schema) for dataset in tables.values()]
        table = pa.concat_tables(every).sort_by(columns[0]).combine_chunks()
        texts = table[0].chunk(0) if len(table) else pa.array([], pa.large_string())
        return cls(texts, table[1].to_numpy())

    def index_of(self, text: str) -> int | None:
        """The index of an id; None where nobody has it."""
        place = bisect_left(self.texts, text, key=lambda found: found.as_py())
        is_there = place < len(self.texts) and self.texts[place].as_py() == text
        return int(self.indices[place]) if is_there else None
