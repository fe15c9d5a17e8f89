"""What a question was answered with, before anything is averaged: measures of users and items."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf import measures
from emberline.cf.listing import Popular
from emberline.cf.measures import Key, Named
from emberline.flow.rows import Flow, Rows, Shared

Row = dict[str, Any]
USERS, ITEMS = (measures.measures_schema(side) for side in ("user", "item"))


@dataclass(frozen=True)
class Found:
    """Of one report: whose values there are of users, in the order in which they are told (`told`),
    and of items (`of_items`); the rows of the tables `user_measures` and `item_measures`; `over`,
    what the metrics are a mean over.

    `fixed` are rows of metrics that are a mean of nothing, such as coverage. `more` is what a
    model's rows say besides. `blocks` are what the rows are made from, and `shared` what these are:
    for `free`.
    """

    told: list[Named]
    over: str
    users: Rows | None = None
    items: Rows | None = None
    of_items: list[Named] = field(default_factory=list)
    fixed: list[Row] = field(default_factory=list)
    more: dict[str, Row] = field(default_factory=dict)
    popular: Popular | None = None
    blocks: list[Rows] = field(default_factory=list)
    shared: list[Shared] = field(default_factory=list)

    def user_keys(self) -> list[Key]:
        """Of the metrics of users."""
        return [key for named in self.told for key in named.keys] if self.users else []

    def free(self) -> None:
        """Forget what the rows are made from, once they are written."""
        for blocks in self.blocks:
            blocks.free()
        for shared in self.shared:
            shared.destroy()

    def item_keys(self) -> list[Key]:
        """Of the metrics of items."""
        return [key for named in self.of_items for key in named.keys]


def user_rows(blocks: Rows, named: Named) -> Rows:
    """Rows of the table `user_measures`, of kept measures.BLOCKS."""
    return blocks.map(partial(measures.users_only, named=named), USERS)


def given_rows(flow: Flow, tables: Iterable[pa.RecordBatch]) -> Rows:
    """Rows of a table that are in this process."""
    table = pa.Table.from_batches(list(tables), ITEMS)
    return flow.deal(table, np.full(table.num_rows, 32.0))


def joined(rows: Sequence[Rows | None]) -> Rows | None:
    """All of them, if there are any."""
    there = [each for each in rows if each is not None]
    return reduce(lambda some, more: some.union(more), there) if there else None
