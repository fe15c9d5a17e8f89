"""Groups that are whole in one set: which ones are tested on, and that none is in two."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import groups, hashes
from emberline.datasets.groups import BUCKETS, LEAKS, NAMES, PLACED, Groups
from emberline.datasets.hashes import BUCKETS as ALL_BUCKETS
from emberline.datasets.rows import distinct
from emberline.errors import DataError
from emberline.flow.rows import Rows
from emberline.sections.shards import GroupConfig, ShardsConfig


def groups_in(met: Rows, config: ShardsConfig, given: Mapping[str, int]) -> Groups | None:
    """Which groups are for what, where they are asked for; `given` are the publisher's splits.

    Raises DataError for an item with a label that belongs to no group, and for groups to be tested
    on that nothing belongs to.
    """
    if config.group is None:
        return None
    _check_names(met, config.group)
    if config.folds:
        tested = _in_fold(met, config.seed, config.fold or 0, config.folds)
        val = _limit(met, Groups(config.seed, tested, None), "val", config.val)
        return Groups(config.seed, tested, val)
    is_told = bool(given) and not config.group.test
    test: tuple[str, ...] | int | None = config.group.test or (None if is_told else 0)
    if test == 0 and config.test:
        test = _limit(met, Groups(config.seed, 0, None), "test", config.test)
    if is_told and given.get("val"):
        return Groups(config.seed, test, None)
    val = _limit(met, Groups(config.seed, test, None), "val", config.val)
    return Groups(config.seed, test, val)


def _in_fold(met: Rows, seed: int, fold: int, folds: int) -> tuple[str, ...]:
    """The groups of one fold: dealt out in the order of hashes of their names, so that folds have
    the same number of them, or one more. Raises DataError for fewer groups than folds.
    """
    found = met.select({"group": "group"}).map(distinct, pa.schema([("group", pa.string())]))
    names = found.table()["group"].unique().drop_null()
    if len(names) < folds:
        raise DataError(
            f"shards.folds: {len(names)} groups cannot be cut into {folds} folds; ask for fewer"
        )
    order = np.argsort(hashes.of_columns(seed, "fold", names), kind="stable")
    return tuple(names.take(pa.array(order)).to_pylist()[fold - 1 :: folds])


def _check_names(met: Rows, asked: GroupConfig) -> None:
    columns = {name: name for name in ("item_id", "label", "group")}
    lost = met.select(columns).map(groups.nameless, NAMES).table()["name"].to_pylist()
    if lost:
        where = "pattern finds nothing in its id" if asked.pattern else "column has nothing for it"
        raise DataError(f"the item {lost[0]} belongs to no group: shards.group.{where}")
    present = partial(groups.present, names=asked.test)
    found = met.select({name: name for name in ("label", "group")}).map(present, NAMES).table()
    missing = [name for name in asked.test if name not in found["name"].to_pylist()]
    if missing:
        raise DataError(
            f"shards.group.test: nothing belongs to {', '.join(map(repr, missing))}; groups are as"
            f" shards.group.{'pattern' if asked.pattern else 'column'} says"
        )


def _limit(met: Rows, known: Groups, purpose: str, share: float) -> int:
    """Below which bucket a group is drawn: the share, or one group of those that are not tested."""
    columns = {name: name for name in ("label", "group", "split")}
    task = partial(groups.lowest, groups=known, purpose=purpose)
    least = pc.min(met.select(columns).map(task, BUCKETS).table()["bucket"]).as_py()
    return max(round(share * ALL_BUCKETS), 0 if least is None else least + 1)


def check_no_leak(divided: Rows, of: str) -> None:
    """Raises DataError where a group is in two sets, which the publisher's split alone can do."""
    parts = divided.flow.parts
    columns = divided.select({name: name for name in ("group", "split")})
    rows = columns.map(partial(groups.placed, blocks=parts), PLACED).together(parts)
    for leak in rows.map(groups.leaking, LEAKS).table().slice(0, 1).to_pylist():
        raise DataError(
            f"the group {leak['group']!r} is in {leak['one']} and in {leak['other']}, as the"
            f" publisher splits; set shards.group.test to those to be tested on, or {of}.split ="
            ' "none"'
        )
