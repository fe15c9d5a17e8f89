"""Reasons for the lists of a block of users, by the models that made them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from emberline.cf import reasons
from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries
from emberline.cf.equations import Common
from emberline.cf.reason_kinds import EVENT, NEIGHBOR
from emberline.cf.reasons import Reasons, Targets
from emberline.numeric.arrays import Bool, Float32, Int32
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

HISTORY = "history"
FOUND = pa.schema(
    [
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("place", pa.int32()),
        ("kind", pa.string()),
        ("past_item", pa.int32()),
        ("attribute", pa.string()),
        ("word", pa.string()),
        ("contribution", pa.float32()),
        ("drop", pa.float32()),
    ]
)


@dataclass(frozen=True)
class Factors:
    """Which items have factors (n,), and what users' equations have in common by these."""

    known: Bool
    common: Common


@dataclass(frozen=True)
class How:
    """What reasons are made of: `top` for each place of a list, past items that `may_be_told` (n,);
    of models whose scores are products of factors, the items' `factors` and, by model, those
    that lists are `scored` by (n, width); of the model of neighbours, items' `similarities`.
    `kinds` are the reasons of all other models, but of those that are explained `elsewhere`.
    """

    top: int
    may_be_told: Bool
    factors: Factors | None
    scored: Mapping[str, Float32]
    neighbors: str
    similarities: sp.csr_array | None
    kinds: Mapping[str, str]
    elsewhere: frozenset[str]


def scatter_listed(batches: Iterator[pa.RecordBatch], block_size: int) -> Iterator[pa.RecordBatch]:
    """Columns user, item and model to PIECES by blocks of so many users, of the kind that the model
    is called.
    """
    for batch in batches:
        for model in batch["model"].unique().to_pylist():
            own = batch.filter(pc.equal(batch["model"], model))
            users, items = own["user"].to_numpy(), own["item"].to_numpy()
            yield from Entries(users, items).pieces(users // block_size, model)


def explain(pieces: Iterator[pa.RecordBatch], how: Shared) -> Iterator[pa.RecordBatch]:
    """PIECES of kind HISTORY and of those that models are called by, whose values do not count,
    those of a block after each other, to FOUND.
    """
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        found = list(group)
        history = _of_kind(found, HISTORY)
        for model in sorted({piece["kind"] for piece in found} - {HISTORY, *how.value.elsewhere}):
            yield _explained(model, _of_kind(found, model), history, how.value)


def _of_kind(found: list[dict[str, Any]], kind: str) -> Entries:
    return Entries.decoded(piece for piece in found if piece["kind"] == kind)


def _explained(model: str, listed: Entries, history: Entries, how: How) -> pa.RecordBatch:
    if model in how.scored and how.factors is not None:
        return _told(_by_factors(listed, history, how.factors, how.scored[model], how))
    if model == how.neighbors and how.similarities is not None:
        return _told(_by_neighbors(listed, history, how.similarities, how))
    nobody = pa.nulls(len(listed.rows), pa.int32())
    nothing = pa.nulls(len(listed.rows), pa.float32())
    kinds = pa.repeat(how.kinds.get(model, NEIGHBOR), len(listed.rows))
    first = np.ones(len(listed.rows), np.int32)
    none = pa.nulls(len(listed.rows), pa.string())
    columns = [listed.rows, listed.columns, first, kinds, nobody, none, none, nothing, nothing]
    return pa.record_batch(columns, schema=FOUND)


def _by_factors(
    listed: Entries, history: Entries, factors: Factors, scored: Float32, how: How
) -> Reasons:
    """Of the users whose history has any item with factors."""
    known = np.isin(history.rows, listed.rows) & factors.known[history.columns]
    if not known.any():
        return Reasons.none()
    block = history.take(known).block()
    targets = _targets(block.ids, listed, scored)
    return reasons.of_events(block, factors.common, targets, how.may_be_told, how.top)


def _targets(users: Int32, listed: Entries, scored: Float32) -> Targets:
    """What is listed for each of the users (m,)."""
    own = listed.take(np.isin(listed.rows, users))
    own = own.take(np.argsort(own.rows, kind="stable"))
    place = place_among(own.rows)
    items = np.full((len(users), int(place.max(initial=-1)) + 1), -1, np.int32)
    items[np.searchsorted(users, own.rows), place] = own.columns
    return Targets(items, scored[np.maximum(items, 0)])


def _by_neighbors(
    listed: Entries, history: Entries, similarities: sp.csr_array, how: How
) -> Reasons:
    users = np.unique(listed.rows)
    own = history.take(np.isin(history.rows, users))
    places = (own.values, (np.searchsorted(users, own.rows), own.columns))
    rated = sp.csr_array(places, shape=(len(users), similarities.shape[1]))
    rows = np.searchsorted(users, listed.rows).astype(np.int32)
    found = reasons.of_neighbors(
        rows, listed.columns, rated, similarities, how.may_be_told, how.top
    )
    return Reasons(users[found.users], found.items, found.past, found.contributions, found.drops)


def _told(found: Reasons) -> pa.RecordBatch:
    places = (place_among(found.users, found.items) + 1).astype(np.int32)
    kinds = pa.repeat(EVENT, len(places))
    none = pa.nulls(len(places), pa.string())
    columns = [found.users, found.items, places, kinds, found.past, none, none]
    return pa.record_batch([*columns, found.contributions, found.drops], schema=FOUND)
