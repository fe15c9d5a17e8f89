"""How well lists rank what was withheld of each user's history, beside the most popular items and
items drawn at random.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf import listing, ranking
from emberline.cf.entries import PIECES
from emberline.cf.listing import COUNTS, Popular
from emberline.cf.metrics import Sums, measured, ranking_names
from emberline.cf.pieces import scatter_sparse
from emberline.cf.ranking import LISTED, RELEVANT, Question
from emberline.datasets import hashes
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import MOST_POPULAR, RANDOM
from emberline.numeric.arrays import Float64, Int32
from emberline.scoring.sources import Chosen, Withheld, distinct
from emberline.scoring.topk import ROWS_PER_BLOCK, excluded_pieces

_TIES = 1 << 20  # different numbers that break ties of equally popular items
Row = dict[str, Any]


def rows(
    flow: Flow,
    tables: Mapping[str, Source],
    model: str,
    ks: tuple[int, ...],
    relevant_from: float | None,
    seed: int,
) -> Iterator[Row]:
    """One row per contestant and metric, the lists of `model` among them. Raises EmptyDatasetError
    where nothing withheld is relevant.
    """
    items = None
    if "recommendable_items" in tables:
        items = distinct(tables["recommendable_items"], "item")
    relevant = _pieces(
        within(Withheld(tables["holdout"], False, relevant_from), items),
        ("user", "item"),
        RELEVANT,
    )
    listed = _pieces(tables["holdout_recommendations"], ("user", "item", "rank"), LISTED)
    popular = _popular(within(tables["ratings"], items), seed)
    pieces = relevant.union(listed).union(excluded_pieces(tables["ratings"]))
    together = pieces.together(flow.parts, order=("block",))
    task = partial(ranking.measure, question=Question(ks, seed), popular=flow.share(popular))
    found = summed(together, task, partial(ranking.count_covered, num_ks=len(ks)))
    if not found:
        raise EmptyDatasetError(_nothing_relevant(items))
    for number, name in enumerate((model, MOST_POPULAR.name, RANDOM.name)):
        yield from _metrics(name, Sums.from_vector(found[number]), ks)
        counts = ranking.covered(found, number, len(ks))
        yield from _coverage(name, counts, len(popular.items), ks)


def within(source: Source, items: Int32 | None) -> Source:
    """The rows whose column item is among `items`; all of them where that is None."""
    return source if items is None else Chosen(source, "item", items)


def _pieces(source: Source, columns: tuple[str, ...], kind: str) -> Rows:
    task = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=kind)
    return source.map(columns, task, PIECES)


def _popular(ratings: Source, seed: int) -> Popular:
    """The rated items, the most rated first, ties in an order that depends on the seed."""
    counts = ratings.map(("item",), listing.count_items, COUNTS).table()
    items, places = np.unique(counts["item"].to_numpy(), return_inverse=True)
    totals = np.bincount(places, counts["ratings"].to_numpy(), len(items))
    ties = hashes.remainder(hashes.of_columns(seed, pa.array(items)), _TIES) / (2 * _TIES)
    return Popular.ranked(items, (totals + ties).astype(np.float32))


def _nothing_relevant(items: Int32 | None) -> str:
    listed = (
        ""
        if items is None
        else " of the items that recommend.candidates and recommend.exclude leave"
    )
    return (
        f"no held-out rating{listed} is relevant; withhold more in [split] or lower"
        " evaluate.relevant_from"
    )


def _metrics(model: str, sums: Sums, ks: tuple[int, ...]) -> Iterator[Row]:
    values = zip(ranking_names(ks), sums.mean(), sums.standard_error(), strict=True)
    for name, value, error in values:
        yield measured(model, name, value, error, users=sums.count)


def _coverage(model: str, counts: Float64, items: int, ks: tuple[int, ...]) -> Iterator[Row]:
    """The share of the rated items that are in somebody's list; none where nothing is rated."""
    for k, count in zip(ks, counts, strict=True) if items else ():
        share = float(count) / items
        yield {"model": model, "metric": f"coverage@{k}", "value": share, "items": items}
