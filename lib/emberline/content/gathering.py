"""What is known of items beside their factors and their numbers of ratings, part by part."""

from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf import listing
from emberline.cf.content import features, tasks
from emberline.cf.content.features import Statistics
from emberline.cf.content.tasks import ATTRIBUTES, FACTS, KNOWN
from emberline.cf.listing import COUNTS
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.numeric import hashing


def gathered(flow: Flow, attributes: Source, factors: Source, ratings: Source) -> Rows:
    """KNOWN: the items that something is said of."""
    said = _facts(attributes, ATTRIBUTES)
    counts = ratings.map(("item",), listing.count_items, COUNTS)
    counted = counts.map(partial(tasks.as_facts, names=("ratings",)), FACTS)
    rows = said.union(_facts(factors, ("factors",))).union(counted)
    return rows.together(flow.parts).map(tasks.gather, KNOWN)


def _facts(source: Source, names: tuple[str, ...]) -> Rows:
    return source.map(("item", *names), partial(tasks.as_facts, names=names), FACTS)


def statistics(known: Rows, sample: pa.RecordBatch, names: tuple[str, ...]) -> Statistics:
    """What is said of all of them, whose numbers have these names, and of a sample."""
    return features.statistics_of(summed(known, tasks.sum_statistics)[0], sample, names)


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
