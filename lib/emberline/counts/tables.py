"""The tables of counts, with noise: what is counted of bounded contributions, and what is shown."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf import listing, segments
from emberline.cf.segments import MEMBERS, NAMES, Members
from emberline.counts import mechanisms
from emberline.counts.mechanisms import Noise
from emberline.datasets import contributions, rows
from emberline.datasets.contributions import LABELLED, LABELS
from emberline.datasets.kept_back import NoisyCounts
from emberline.datasets.schema import TABLES
from emberline.errors import DataError
from emberline.flow.rows import Flow, Rows, Source
from emberline.numeric.arrays import Int32, Int64
from emberline.sections.noise import CLASSES, ITEMS, SEGMENTS

_OF_SIZES = 0.2  # of what segments cost is for how many people are in each
_MECHANISM = "discrete Laplace"


@dataclass(frozen=True)
class Paid:
    """What counts may cost, and how many items one person adds at most."""

    epsilon: float
    delta: float
    max_items: int

    def part(self, share: float) -> "Paid":
        """A share of it."""
        return Paid(self.epsilon * share, self.delta * share, self.max_items)


@dataclass(frozen=True)
class Drawn:
    """A table of noisy counts, and how they were drawn."""

    name: str
    table: pa.Table
    facts: NoisyCounts


def of_items(added: Rows, paid: Paid) -> Drawn:
    """How many people have each item, of BOUNDED."""
    found = added.select({"item": "item"}).map(listing.count_items, listing.COUNTS).table()
    items, counts = _summed(found["item"].to_numpy(), found["ratings"].to_numpy())
    places, shown, noise = mechanisms.of_unknown(counts, paid.max_items, paid.epsilon, paid.delta)
    return _drawn(ITEMS, [items[places].astype(np.int32), shown], paid.max_items, noise)


def of_classes(flow: Flow, added: Rows, said: Source, paid: Paid) -> Drawn:
    """How many ratings the items of each class have; what classes there are is no secret. Raises
    DataError where no item has one.
    """
    distinct = pa.schema([("label", pa.string())])
    labels = said.map(("label",), rows.distinct, distinct).table()["label"].unique().drop_null()
    if not len(labels):
        raise DataError(
            "privacy.noise.split.classes: no item has a class; give columns.label, or leave it out"
        )
    names = labels.sort()
    task = partial(contributions.labelled, labels=names)
    table = said.map(("item", "label"), task, LABELLED).table()
    of_item = np.full(int(table["item"].to_numpy().max(initial=-1)) + 1, -1, np.int32)
    of_item[table["item"].to_numpy()] = table["label"].to_numpy()
    shared = flow.share(of_item)
    found = added.map(partial(contributions.count_labels, of_item=shared), LABELS).table()
    shared.destroy()
    counts = np.bincount(
        found["label"].to_numpy(), found["ratings"].to_numpy(), minlength=len(names)
    ).astype(np.int64)
    shown, noise = mechanisms.of_known(counts, paid.max_items, paid.epsilon)
    return _drawn(CLASSES, [names, shown], paid.max_items, noise)


def of_segments(
    flow: Flow, added: Rows, said: Source, attribute: str, paid: Paid
) -> Iterator[Drawn]:
    """How many people are in each segment, of those who have rated something; and of those that
    are shown, how many people there have each item.
    """
    columns = ("user", attribute)
    table = said.map(columns, segments.members, MEMBERS).table()
    users, hashes = (column.to_numpy() for column in table.columns)
    rated = added.select({"user": "user"}).map(rows.distinct, pa.schema([("user", pa.int32())]))
    found, people = np.unique(
        hashes[np.isin(users, rated.table()["user"].to_numpy())], return_counts=True
    )
    of_sizes = paid.part(_OF_SIZES)
    places, sizes, noise = mechanisms.of_unknown(people, 1, of_sizes.epsilon, of_sizes.delta)
    names = _names(said.map(columns, partial(segments.names, hashes=found[places]), NAMES), found)
    names = names.take(pa.array(places))
    yield _drawn(SEGMENTS[0], [names, sizes], 1, noise)
    members = flow.share(Members.in_some(users, hashes, found[places]))
    yield _of_items_in(added, members.value, names, paid.part(1 - _OF_SIZES))
    members.destroy()


def _of_items_in(added: Rows, members: Members, names: pa.Array, paid: Paid) -> Drawn:
    pairs = added.select({"item": "item", "user": "user"})
    found = pairs.map(partial(segments.count, members=members), segments.COUNTS).table()
    segment, item = (found[name].to_numpy().astype(np.int64) for name in ("segment", "item"))
    keys, counts = _summed((segment << 32) | item, found["ratings"].to_numpy())
    places, shown, noise = mechanisms.of_unknown(counts, paid.max_items, paid.epsilon, paid.delta)
    kept = keys[places]
    columns = [names.take(pa.array(kept >> 32)), (kept & 0xFFFFFFFF).astype(np.int32), shown]
    return _drawn(SEGMENTS[1], columns, paid.max_items, noise)


def _summed(keys: Int32 | Int64, counts: Int64) -> tuple[Int64, Int64]:
    """Distinct keys, ascending, and the sums of their counts."""
    distinct, inverse = np.unique(keys, return_inverse=True)
    totals = np.bincount(inverse, counts, minlength=len(distinct)).astype(np.int64)
    return distinct.astype(np.int64), totals


def _names(found: Rows, hashes: Int64) -> pa.Array:
    """The name of each segment (n,), by its hash, ascending; null where it was not asked for."""
    table = found.table()
    names = dict(zip(table["segment"].to_pylist(), table["name"].to_pylist(), strict=True))
    return pa.array([names.get(one) for one in hashes.tolist()], pa.string())


def _drawn(name: str, columns: list[object], per_user: int, noise: Noise) -> Drawn:
    table = pa.table(columns, schema=TABLES[name])
    facts = NoisyCounts(
        _MECHANISM, noise.scale, noise.threshold, per_user, noise.epsilon, noise.delta
    )
    return Drawn(name, table, facts)
