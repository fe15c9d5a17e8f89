"""Biases of users and items, from sums over all ratings: see cf/biases."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf import biases as cf_biases
from emberline.cf.biases import RATED, TOTALS, Biases, Totals
from emberline.datasets.rows import Task, through
from emberline.flow.rows import Flow, Rows, Shared, Source


def biases_of(flow: Flow, ratings: Source, damping: float) -> Biases:
    """Those of columns user, item and value."""
    of_items = totals(ratings, "item", "user", flow.share(np.zeros(0)))
    count = int(of_items.counts.sum())
    mean = float(of_items.values.sum() / count) if count else 0.0
    items = cf_biases.items_damped(mean, of_items, damping)
    of_users = totals(ratings, "user", "item", flow.share(items))
    return Biases.damped(mean, of_users, of_items, damping)


def totals(ratings: Source, side: str, other: str, offsets: Shared) -> Totals:
    """Of the ids of a side; offsets: (m,) float64 by the index of the other side, 0 beyond them."""
    first = partial(cf_biases.sum_by_id, offsets=offsets)
    scattered = ratings.map((side, other, "value"), first, TOTALS)
    together = scattered.together(scattered.flow.parts)
    return Totals.of_table(together.map(cf_biases.merge, TOTALS).table())


@dataclass(frozen=True)
class Residuals:
    """What biases, shared with all tasks, leave of each rating: a source of columns user, item and
    value.
    """

    ratings: Source
    biases: Shared

    def count(self) -> int:
        return self.ratings.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        first = partial(cf_biases.residuals, biases=self.biases, columns=tuple(columns))
        both = partial(through, tasks=(first, task))
        return self.ratings.map(RATED.names, both, schema)
