"""Rows that work on blocks begins with in tests, on either engine."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from emberline.datasets.rows import Task, unchanged
from emberline.flow.here import Here, HereRows
from emberline.flow.rows import Flow, Rows, Source
from emberline.spark.flow import SparkFlow, SparkSource
from emberline.spark.scan import Scan


@dataclass(frozen=True)
class HereTable:
    """A table's rows, dealt to so many parts."""

    flow: Here
    rows: pa.Table
    parts: int

    def count(self) -> int:
        return self.rows.num_rows

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> HereRows:
        chosen = self.rows.select(list(columns))
        parts = [
            chosen.take(np.arange(part, len(chosen), self.parts)) for part in range(self.parts)
        ]
        return HereRows(
            self.flow, schema, self.parts, lambda part: task(iter(parts[part].to_batches()))
        )


def given(flow: Flow, rows: pa.Table, parts: int = 2) -> Source:
    """A table as something to begin with."""
    if isinstance(flow, Here):
        return HereTable(flow, rows, parts)
    assert isinstance(flow, SparkFlow)
    return SparkSource(Scan(flow.session.createDataFrame(rows).repartition(parts)))


def rows_of(flow: Flow, rows: pa.Table, parts: int = 2) -> Rows:
    """A table's own rows."""
    return given(flow, rows, parts).map(rows.column_names, unchanged, rows.schema)
