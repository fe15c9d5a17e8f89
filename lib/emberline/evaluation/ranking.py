"""How well lists rank what was withheld of each user's history, beside the most popular items and
items drawn at random.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf import listing, measures, ranking
from emberline.cf.blocks import matrix_of
from emberline.cf.entries import PIECES
from emberline.cf.list_metrics import list_names
from emberline.cf.listing import COUNTS, Popular
from emberline.cf.measures import BLOCKS, Named
from emberline.cf.pieces import scatter_sparse
from emberline.cf.ranking import LISTED, RELEVANT, Catalogue, ItemCounts, Question, gini
from emberline.datasets import hashes
from emberline.datasets.rows import unchanged
from emberline.errors import EmptyDatasetError
from emberline.evaluation.found import Found, given_rows, user_rows
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import ALS, MOST_POPULAR, RANDOM
from emberline.numeric.arrays import Float32, Int32
from emberline.scoring.sources import Chosen, Withheld, distinct
from emberline.scoring.topk import ROWS_PER_BLOCK, excluded_pieces
from emberline.sections.recommend import HOLDOUT_RECOMMENDABLE_ITEMS

_TIES = 1 << 20  # different numbers that break ties of equally popular items
_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])
Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """Which `report` asks, whose lists are measured (`model`), at which lengths, from which value
    on a held-out rating is relevant, the seed of lists that are drawn, and whether items that were
    withheld whole are relevant, too.
    """

    report: str
    model: str
    ks: tuple[int, ...]
    relevant_from: float | None
    seed: int
    with_new: bool = False


def lists(flow: Flow, tables: Mapping[str, Source], asked: Asked) -> Found:
    """What the lists are worth to each user, and how often they have each item. Raises
    EmptyDatasetError where nothing withheld is relevant.
    """
    items = None
    if HOLDOUT_RECOMMENDABLE_ITEMS in tables:
        items = distinct(tables[HOLDOUT_RECOMMENDABLE_ITEMS], "item")
    catalogue = _catalogue(tables, items, asked.seed)
    shared, question = flow.share(catalogue), Question(asked.ks, asked.seed)
    task = partial(ranking.measure, question=question, catalogue=shared)
    together = _pieces(tables, items, asked).together(flow.parts, order=("block",))
    blocks = together.map(task, BLOCKS).kept()
    sums = summed(blocks, measures.sums_only)
    names = (asked.model, MOST_POPULAR.name, RANDOM.name)
    named = Named(asked.report, names, tuple(list_names(asked.ks)))
    popular = catalogue.popular
    counts = [ItemCounts.of(sums, at, len(popular.items), len(asked.ks)) for at in range(3)]
    if ranking.COUNTED not in sums:
        raise EmptyDatasetError(_nothing_relevant(items))
    of_items = Named(asked.report, names, tuple(_item_names(asked.ks)))
    by_item = [
        _by_item(of_items, name, popular, count) for name, count in zip(names, counts, strict=True)
    ]
    fixed = [
        row
        for name, count in zip(names, counts, strict=True)
        for row in _of_all_lists(name, count, asked.ks)
    ]
    return Found(
        told=[named],
        over="users",
        users=user_rows(blocks, named),
        items=given_rows(flow, by_item),
        of_items=[of_items],
        fixed=fixed,
        popular=popular,
        blocks=[blocks],
        shared=[shared],
    )


def _pieces(tables: Mapping[str, Source], items: Int32 | None, asked: Asked) -> Rows:
    """PIECES of what is relevant, listed, and seen in training."""
    cold = None if asked.with_new else False
    held = within(Withheld(tables["holdout"], cold, asked.relevant_from), items)
    relevant = _scattered(held, ("user", "item", "value"), RELEVANT)
    listed = _scattered(tables["holdout_recommendations"], ("user", "item", "rank"), LISTED)
    return relevant.union(listed).union(excluded_pieces(tables["ratings"]))


def within(source: Source, items: Int32 | None) -> Source:
    """The rows whose column item is among `items`; all of them where that is None."""
    return source if items is None else Chosen(source, "item", items)


def _scattered(source: Source, columns: tuple[str, ...], kind: str) -> Rows:
    task = partial(scatter_sparse, block_size=ROWS_PER_BLOCK, kind=kind)
    return source.map(columns, task, PIECES)


def _catalogue(tables: Mapping[str, Source], items: Int32 | None, seed: int) -> Catalogue:
    known, vectors = _directions(tables)
    users = len(distinct(tables["ratings"], "user"))
    return Catalogue(_popular(within(tables["ratings"], items), seed), users, known, vectors)


def _popular(ratings: Source, seed: int) -> Popular:
    """The rated items, the most rated first, ties in an order that depends on the seed."""
    counts = ratings.map(("item",), listing.count_items, COUNTS).table()
    items, places = np.unique(counts["item"].to_numpy(), return_inverse=True)
    totals = np.bincount(places, counts["ratings"].to_numpy(), len(items))
    ties = hashes.remainder(hashes.of_columns(seed, pa.array(items)), _TIES) / (2 * _TIES)
    return Popular.ranked(items, (totals + ties).astype(np.float32))


def _directions(tables: Mapping[str, Source]) -> tuple[Int32, Float32]:
    """The items (n,), ascending, that have factors which are not 0, and these at length 1."""
    nothing = np.empty(0, np.int32), np.empty((0, 1), np.float32)
    if ALS.lists[1] not in tables:
        return nothing
    found = tables[ALS.lists[1]].map(("item", "factors"), unchanged, _FACTORS).table()
    if not found.num_rows:
        return nothing
    found = found.sort_by("item")
    factors = matrix_of(found["factors"].combine_chunks(), found.num_rows)
    lengths = np.linalg.norm(factors, axis=1)
    is_some = lengths > 0
    return found["item"].to_numpy()[is_some], factors[is_some] / lengths[is_some, None]


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


def _item_names(ks: tuple[int, ...]) -> list[str]:
    return [name.format(k=k) for k in ks for name in ("listed@{k}", "recall@{k}/pairs")]


def _by_item(named: Named, model: str, popular: Popular, counts: ItemCounts) -> pa.RecordBatch:
    """Of each rated item in how many lists it is, and of how many of those to whom it is relevant
    it is in the list.
    """
    order = np.argsort(popular.items)
    listed, hits = counts.listed[order], counts.hits[order]
    relevant = counts.relevant[order][:, None]
    shares = np.where(relevant > 0, hits / np.maximum(relevant, 1), np.nan)
    values = np.stack([listed, shares], axis=2).reshape(len(order), listed.shape[1] * 2)
    each = np.ones_like(listed), np.broadcast_to(relevant, listed.shape)
    weights = np.stack(each, axis=2).reshape(values.shape)
    return measures.long_rows(named, model, "item", popular.items[order], values, weights)


def _of_all_lists(model: str, counts: ItemCounts, ks: tuple[int, ...]) -> Iterator[Row]:
    """The share of the rated items that are in somebody's list, and how unevenly the lists fall on
    them; none where nothing is rated.
    """
    items = len(counts.relevant)
    for k, listed in zip(ks, counts.listed.T, strict=True) if items else ():
        values = {"coverage": float((listed > 0).mean()), "gini": gini(listed)}
        for name, value in values.items():
            if not np.isnan(value):
                yield {"model": model, "metric": f"{name}@{k}", "value": value, "items": items}
