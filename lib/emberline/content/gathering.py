"""What is known of items, or users, beside their factors and their numbers of ratings, part by
part.
"""

from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf import facts
from emberline.cf.content import features, tasks
from emberline.cf.content.columns import Columns
from emberline.cf.content.features import Statistics
from emberline.cf.content.tasks import ATTRIBUTES, KNOWN, SAID
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.numeric import hashing
from emberline.scoring.beside import beside_factors


def gathered(flow: Flow, attributes: Source, factors: Source, ratings: Source, side: str) -> Rows:
    """KNOWN: the items, or users, that something is said of."""
    task = partial(facts.as_facts, names=ATTRIBUTES, said=SAID)
    said = attributes.map((side, *ATTRIBUTES), task, facts.facts_schema(SAID))
    return beside_factors(flow, said, factors, ratings, SAID, side)


def statistics(known: Rows, sample: pa.RecordBatch, columns: Columns) -> Statistics:
    """What is said of all of them, and of a sample."""
    task = partial(tasks.sum_statistics, columns=columns)
    return features.statistics_of(summed(known, task)[0], sample, columns)


def drawn(known: Rows, count: int, least_ratings: int, seed: int) -> pa.RecordBatch:
    """So many of KNOWN, or all that there are, that have factors and enough ratings, in the order
    of ids.
    """
    task = partial(tasks.draw, count=count, least_ratings=least_ratings, seed=seed)
    found = known.map(task, KNOWN).table()
    order = np.argsort(hashing.of_ids(found["id"].to_numpy(), seed), kind="stable")[:count]
    chosen = found.take(order).sort_by("id").combine_chunks()
    return pa.RecordBatch.from_arrays([_array(column) for column in chosen.columns], schema=KNOWN)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()
