"""Which set each interaction is in: hashes of its user and its item meet it, and then all
interactions of its user.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

import numpy as np
import pyarrow.compute as pc

from emberline.datasets import sets, withholding
from emberline.datasets.rows import Task
from emberline.datasets.withholding import (
    BESIDE_ITEMS,
    COLD_USERS,
    HOLDOUT,
    LEFT,
    SKETCHED,
    VALIDATION,
    ColdItems,
    Purposes,
    Way,
)
from emberline.flow.rows import Flow, Rows, Shared, Source
from emberline.numeric.arrays import UInt64
from emberline.sections.split import SplitConfig, WithheldConfig

_DAY = 86_400_000_000  # microseconds
_HASHED = {  # what pairs are hashed for, where a set is chosen by their hashes
    "fraction": "fraction",
    "last": "last",
    "folds": "fold",
    "users": "pairs",
}


@dataclass(frozen=True)
class Log:
    """What is split, as sources: interactions, and the outside ids of users and of items."""

    interactions: Source
    users: Source
    items: Source


@dataclass(frozen=True)
class Marked:
    """The interactions with what decides on their sets, all of a user in one part, and the hashes
    that they have.
    """

    rows: Rows
    purposes: Purposes
    by_validation: bool = False

    def of_set(self, name: str) -> Rows:
        """The rows of one of withholding.SETS, or those that are set aside."""
        task = partial(sets.of_set, name=name, by_validation=self.by_validation)
        return self.rows.map(task, withholding.marked_schema(self.purposes))


def purposes_of(config: SplitConfig) -> dict[str, withholding.Constants]:
    """What interactions are hashed for, by the name of the column of hashes."""
    found = dict(SKETCHED)
    if config.by in _HASHED and config.of != "items":
        found[HOLDOUT] = (config.seed, _HASHED[config.by])
    if config.validation.by in _HASHED:
        found[VALIDATION] = (config.seed, f"{VALIDATION} {_HASHED[config.validation.by]}")
    return found


def marked(flow: Flow, log: Log, config: SplitConfig, pairs: Rows | None = None) -> Marked:
    """Each interaction with its marks; `pairs` are what files say: user, item and given."""
    purposes = purposes_of(config)
    users = flow.share(_hashes_of_users(log.users, config, purposes))
    hashed = _beside_items(flow, log, users, config, purposes)
    held = _held(flow, log, hashed, pairs, users, config, purposes).kept()
    task = _validation(held, users, config)
    rows = held.map(task, withholding.marked_schema(purposes)).kept()
    return Marked(rows, purposes, config.measure_by == VALIDATION)


def _hashes_of_users(users: Source, config: SplitConfig, purposes: Purposes) -> dict[str, UInt64]:
    """By purpose, and by the index of the user: (n,)."""
    wanted = dict(purposes)
    if config.validation.by == "users":
        wanted["users"] = (config.seed, "validation users")
    if config.cold_users:
        wanted[COLD_USERS] = (config.seed, COLD_USERS)
    schema = withholding.hashed_schema(wanted)
    task = partial(withholding.hash_users, purposes=wanted)
    found = users.map(("user", "user_id"), task, schema).table()
    ids = found["user"].to_numpy()
    hashes = {}
    for name in wanted:
        hashes[name] = np.zeros(int(ids.max(initial=-1)) + 1, np.uint64)
        hashes[name][ids] = found[name].to_numpy().view(np.uint64)
    return hashes


def _beside_items(
    flow: Flow, log: Log, users: Shared, config: SplitConfig, purposes: Purposes
) -> Rows:
    columns = ("user", "item", "value", "timestamp", "split")
    rows = log.interactions.map(columns, withholding.interactions_by_item, BESIDE_ITEMS)
    items = log.items.map(("item", "item_id"), withholding.items_by_item, BESIDE_ITEMS)
    task = partial(
        withholding.hash_pairs, users=users, withheld=withheld_items(config), purposes=purposes
    )
    schema = withholding.marked_schema(purposes)
    return rows.union(items).together(flow.parts).map(task, schema)


def withheld_items(config: SplitConfig) -> dict[str, ColdItems]:
    """Which items are withheld whole, and which others for choosing models."""
    new = ColdItems(config.seed, share=config.validation.cold_items, purpose="validation cold")
    if config.of == "items":
        cold = ColdItems(config.seed, fold=config.fold or 0, folds=config.folds or 0)
    else:
        cold = ColdItems(config.seed, share=config.cold_items)
    return {"cold": cold, "new": new}


def _held(
    flow: Flow,
    log: Log,
    rows: Rows,
    pairs: Rows | None,
    users: Shared,
    config: SplitConfig,
    purposes: Purposes,
) -> Rows:
    schema = withholding.marked_schema(purposes)
    if pairs is not None:
        rows = rows.union(pairs.map(partial(withholding.pairs_by_user, schema=schema), schema))
    way = _way(config)
    if config.by == "folds":
        by = {"ratings": "folds", "users": "folds of users", "items": "none"}[config.of]
        way = replace(way, by=by, fold=config.fold or 0, folds=config.folds or 0)
    if config.last_days is not None:
        task = withholding.newest_of
        way = _before_newest(way, log.interactions.map(("timestamp",), task, LEFT), config)
        way = _earlier(way, config)
    cold_by_pairs = config.pairs is not None and config.pairs.cold
    task_ = partial(
        withholding.hold_out,
        way=way,
        cold_by_pairs=cold_by_pairs,
        cold_users=config.cold_users,
        users=users,
        schema=schema,
    )
    return rows.together(flow.parts).map(task_, schema)


def _validation(held: Rows, users: Shared, config: SplitConfig) -> Task:
    """What says which of the rows that are left are for validation."""
    way = _way(config.validation)
    if config.validation.last_days is not None or config.validation.by == "users":
        left = held.map(withholding.count_left, LEFT)
        way = _before_newest(way, left, config.validation)
        count = pc.sum(left.table()["users"]).as_py() or 0
        way = replace(way, share=(config.validation.users or 0) / max(1, count))
    by_column = config.by == "column"
    return partial(withholding.validate, way=way, by_column=by_column, users=users)


def _way(config: WithheldConfig) -> Way:
    return Way(
        config.by,
        fraction=config.fraction or 0.0,
        n=config.n or 0,
        since=0 if config.after is None else _micros(config.after),
    )


def _micros(time: str) -> int:
    moment = datetime.fromisoformat(time)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _before_newest(way: Way, left: Rows, config: WithheldConfig) -> Way:
    """From so many days before the newest interaction on."""
    if config.last_days is None:
        return way
    newest = pc.max(left.table()["newest"]).as_py() or 0
    return replace(way, since=newest - round(config.last_days * _DAY))


def _earlier(way: Way, config: SplitConfig) -> Way:
    """The same days, `skip_days` before; what is later is in no set."""
    if config.skip_days is None:
        return way
    skipped, days = round(config.skip_days * _DAY), round((config.last_days or 0) * _DAY)
    return replace(way, since=way.since - skipped, until=way.since - skipped + days)
