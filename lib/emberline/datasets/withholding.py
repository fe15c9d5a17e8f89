"""Which interactions are withheld from training, decided by hashes of outside ids: the same rows
whenever they are recomputed, by part.

A pair's hash is that of some constants, the user's id and the item's, chained. So users' hashes are
made first (`hash_users`); beside the items, interactions get theirs (`hash_pairs`); and beside all
others of their user they are chosen (`hold_out`, `validate`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import hashes, sketching
from emberline.datasets.sketching import Hashed
from emberline.numeric.arrays import Array, Bool
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

IDS_PER_BLOCK = 4096
HOLDOUT, VALIDATION = "holdout", "validation"
COLD_USERS = "cold users"  # what their hashes are for
SETS = ("ratings", VALIDATION, HOLDOUT)
_ONE_IN = 5  # of a chosen user's interactions is withheld
Constants = tuple[str | int, ...]
Purposes = Mapping[str, Constants]  # what a hash depends on besides ids, by the hash's name
SKETCHED: Purposes = {name: (name,) for name in ("place", "mark", "row")}

_BOTH = [("user", pa.int32()), ("item", pa.int32())]
_RATED = [*_BOTH, ("value", pa.float32()), ("timestamp", pa.timestamp("us", tz="UTC"))]
BESIDE_ITEMS = pa.schema(
    [("block", pa.int32()), *_RATED, ("split", pa.string()), ("item_id", pa.string())]
)


@dataclass(frozen=True)
class Way:
    """What one of the sets is chosen by: see sections/split. `since` and `until` are in
    microseconds, `share` of users.
    """

    by: str
    fraction: float = 0.0
    n: int = 0
    since: int = 0
    until: int | None = None
    fold: int = 0
    folds: int = 0
    share: float = 0.0


@dataclass(frozen=True)
class ColdItems:
    """Which items are withheld whole: a share of them, or one of several folds, or those that a
    file of pairs has.
    """

    seed: int
    share: float = 0.0
    fold: int = 0
    folds: int = 0
    given: bool = False
    purpose: str = "cold"

    def drawn(self, item_ids: pa.Array) -> Bool:
        """Whether each item (n,) is, as far as its id says: so it stays when other items come."""
        if self.folds:
            bucket = hashes.bucket_of(self.seed, self.purpose, item_ids)
            in_fold: Bool = bucket * self.folds // hashes.BUCKETS + 1 == self.fold
            return in_fold
        return hashes.is_drawn(self.share, self.seed, self.purpose, item_ids)


def marked_schema(purposes: Purposes) -> pa.Schema:
    """Interactions with what is known of them by their pair: `given` is what a file says, `split`
    what the input says, `cold`, `held` and `chosen` whether they are withheld, and why, `new`
    whether their item is for choosing models and withheld whole, `aside` whether they are in no
    set.
    """
    texts = [(name, pa.string()) for name in ("split", "given")]
    marks = [(name, pa.bool_()) for name in ("cold", "held", "chosen", "new", "aside")]
    return pa.schema(
        [("block", pa.int32()), *_RATED, *texts, *marks, *((name, pa.int64()) for name in purposes)]
    )


def hash_users(batches: Iterator[pa.RecordBatch], purposes: Purposes) -> Iterator[pa.RecordBatch]:
    """Columns user and user_id to user and a hash for each purpose."""
    for batch in batches:
        found = [hashes.of_columns(*constants, batch.column(1)) for constants in purposes.values()]
        columns = [batch.column(0), *(bits.view(np.int64) for bits in found)]
        yield pa.record_batch(columns, schema=hashed_schema(purposes))


def hashed_schema(purposes: Purposes) -> pa.Schema:
    """Users with a hash for each purpose."""
    return pa.schema([("user", pa.int32()), *((name, pa.int64()) for name in purposes)])


def interactions_by_item(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user, item, value, timestamp and split to BESIDE_ITEMS."""
    for batch in batches:
        nothing = pa.nulls(batch.num_rows, pa.string())
        blocks = batch.column(1).to_numpy() // IDS_PER_BLOCK
        yield pa.record_batch([blocks, *batch.columns, nothing], schema=BESIDE_ITEMS)


def items_by_item(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item and item_id to BESIDE_ITEMS."""
    for batch in batches:
        items, ids = batch.columns
        known = {"block": items.to_numpy() // IDS_PER_BLOCK, "item": items, "item_id": ids}
        yield _filled(known, batch.num_rows, BESIDE_ITEMS)


def pairs_by_user(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Columns user, item and given to rows of `marked_schema` that have nothing else."""
    for batch in batches:
        users, items, given = batch.columns
        blocks = users.to_numpy() // IDS_PER_BLOCK
        known = {"block": blocks, "user": users, "item": items, "given": given}
        yield _filled(known, batch.num_rows, schema)


def _filled(known: Mapping[str, Any], rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """A batch with some columns, the others empty."""
    columns = [known.get(field.name, pa.nulls(rows, field.type)) for field in schema]
    return pa.record_batch(columns, schema=schema)


def hash_pairs(
    batches: Iterator[pa.RecordBatch],
    users: Shared,
    withheld: Mapping[str, ColdItems],
    purposes: Purposes,
) -> Iterator[pa.RecordBatch]:
    """BESIDE_ITEMS, all interactions of an item beside it, to `marked_schema`; `users` are hashes
    by name and by the index of the user, `withheld` says which items are `cold`, and which `new`.
    """
    table = pa.Table.from_batches(list(batches), BESIDE_ITEMS).combine_chunks()
    items = table.filter(table["user"].is_null()).sort_by("item")
    rows = table.filter(table["user"].is_valid())
    if not rows.num_rows:
        return
    places = np.searchsorted(items["item"].to_numpy(), rows["item"].to_numpy())
    item_ids = _array(items["item_id"]).take(pa.array(places))
    own = rows["user"].to_numpy()
    known = {name: _array(rows[name]) for name, _ in _RATED} | {"split": _array(rows["split"])}
    known |= {
        name: hashes.chained(users.value[name][own], item_ids).view(np.int64) for name in purposes
    }
    known["block"] = own // IDS_PER_BLOCK
    for mark, items_ in withheld.items():
        known[mark] = items_.drawn(_array(items["item_id"]))[places]
    yield _filled(known, rows.num_rows, marked_schema(purposes))


def hold_out(
    batches: Iterator[pa.RecordBatch],
    way: Way,
    cold_by_pairs: bool,
    cold_users: float,
    users: Shared,
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """All rows of a user of `marked_schema`, and what files say of their pairs, to the same rows
    with `held` and `aside` said; of a user at least one is kept where `by` is fraction, last or
    folds, unless all of them are of cold items, or the user is one of the share `cold_users`, who
    are withheld whole.
    """
    table = pa.Table.from_batches(list(batches), schema).combine_chunks()
    rows = table.filter(table["value"].is_valid())
    rows = rows.sort_by([("user", "ascending"), ("item", "ascending")])
    if not rows.num_rows:
        return
    given = _given(rows, table.filter(table["value"].is_null()))
    cold = _bools(rows["cold"])
    if cold_by_pairs:
        cold = _equal(given, HOLDOUT)
    held = _chosen(rows, way, HOLDOUT, cold, given, users) & ~cold
    aside = np.zeros(len(held), bool) if way.until is None else _from(rows, way.until)
    if cold_users:
        buckets = hashes.remainder(users.value[COLD_USERS], hashes.BUCKETS)
        is_cold = buckets < round(cold_users * hashes.BUCKETS)
        held = (held | is_cold[rows["user"].to_numpy()]) & ~cold
    yield _with(rows, {"given": given, "cold": cold, "held": held, "aside": aside})


def validate(
    batches: Iterator[pa.RecordBatch], way: Way, by_column: bool, users: Shared
) -> Iterator[pa.RecordBatch]:
    """All rows of a user that `hold_out` has made, with `chosen` said: of what the holdout leaves,
    and of what the input does not call validation already.
    """
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        out = _bools(rows["held"]) | _bools(rows["cold"]) | _bools(rows["aside"])
        chosen = _bools(rows["new"]) & ~out
        out = out | chosen
        if by_column:
            chosen = chosen | _equal(_array(rows["split"]), VALIDATION) & ~out
            out = out | chosen
        more = _chosen(rows, way, VALIDATION, out, _array(rows["given"]), users) & ~out
        yield _with(rows, {"chosen": chosen | more})


def _given(rows: pa.Table, pairs: pa.Table) -> pa.Array:
    """What files say of each row's pair; null where they say nothing."""
    keys, listed = (
        (table["user"].to_numpy().astype(np.int64) << 32) | table["item"].to_numpy()
        for table in (rows, pairs)
    )
    if not len(listed):
        return pa.nulls(len(keys), pa.string())
    order = np.argsort(listed)
    places = np.minimum(np.searchsorted(listed[order], keys), len(order) - 1)
    is_listed = listed[order][places] == keys
    return _array(pairs["given"]).take(pa.array(order[places], mask=~is_listed))


def _chosen(
    rows: pa.Table, way: Way, which: str, out: Bool, given: pa.Array, users: Shared
) -> Bool:
    """Whether each row is withheld, of those that are not `out`."""
    found = np.zeros(len(out), bool)
    if way.by == "time":
        found = _from(rows, way.since)
    elif way.by == "given":
        found = _equal(given, which)
    elif way.by == "column":
        found = _equal(_array(rows["split"]), "test")
    elif way.by == "users":
        buckets = hashes.remainder(users.value["users"], hashes.BUCKETS)
        is_user = buckets < round(way.share * hashes.BUCKETS)
        pairs = rows[which].to_numpy().view(np.uint64)
        found = is_user[rows["user"].to_numpy()] & (hashes.remainder(pairs, _ONE_IN) == 0)
    elif way.by in ("fraction", "last", "folds", "folds of users"):
        left = np.flatnonzero(~out)
        found[left] = _of_each_user(rows.take(pa.array(left)), way, which, users)
    return found


def _of_each_user(rows: pa.Table, way: Way, which: str, users: Shared) -> Bool:
    """Whether each row is withheld, by its place (from 1) among those of its user."""
    own, hashed = rows["user"].to_numpy(), rows[which].to_numpy()
    keys = [hashed]
    if way.by == "last":
        # those without a time come first of all
        keys.append(-_micros(rows).fill_null(np.iinfo(np.int64).min + 1).to_numpy())
    order = np.lexsort([*keys, own])
    place = np.empty(len(own), np.int64)
    place[order] = place_among(own[order]) + 1
    _, at, counts = np.unique(own, return_inverse=True, return_counts=True)
    count = counts[at]
    if way.by == "folds":
        # dealt out to the folds one by one, from one that depends on the user
        first = hashes.remainder(users.value[which][own], way.folds)
        in_fold: Bool = ((first + place) % way.folds + 1 == way.fold) & (count > 1)
        return in_fold
    fraction = way.fraction if way.by == "fraction" else 1 / _ONE_IN
    wanted = way.n if way.by == "last" else np.floor(fraction * count + 0.5)
    found: Bool = place <= np.minimum(wanted, count - 1)
    if way.by == "folds of users":
        found &= hashes.remainder(users.value[which][own], way.folds) + 1 == way.fold
    return found


LEFT = pa.schema([("newest", pa.int64()), ("users", pa.int64())])


def count_left(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of marked rows, all of a user, what the holdout leaves: the newest time in microseconds, and
    of how many users.
    """
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        out = pc.or_(pc.or_(rows["held"], rows["cold"]), rows["aside"])
        left = rows.filter(pc.invert(out))
        newest = pc.max(_micros(left)).as_py()
        yield pa.record_batch([[newest], [len(pc.unique(left["user"]))]], schema=LEFT)


def newest_of(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """A column timestamp to LEFT, of no users."""
    for batch in batches:
        rows = pa.Table.from_batches([batch])
        yield pa.record_batch([[pc.max(_micros(rows)).as_py()], [0]], schema=LEFT)


def sketched(batches: Iterator[pa.RecordBatch], marks: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Marked rows to sketching.BINNED, of their ids, values and some marks."""
    for batch in batches:
        place, mark, row = (batch[name].to_numpy().view(np.uint64) for name in SKETCHED)
        for name in ("value", *marks):
            row = hashes.chained(row, batch[name])
        yield sketching.binned_of(Hashed(place, mark, row))


def _micros(rows: pa.Table) -> pa.Array:
    return _array(rows["timestamp"]).view(pa.int64())


def _from(rows: pa.Table, since: int) -> Bool:
    """Whether each row is of that time, in microseconds, or later."""
    return _bools(pc.greater_equal(_micros(rows), since))


def _equal(texts: pa.Array, text: str) -> Bool:
    return _bools(pc.equal(texts, text))


def _bools(column: pa.Array | pa.ChunkedArray) -> Bool:
    """What is missing is not so."""
    found: Bool = _array(column).fill_null(False).to_numpy(zero_copy_only=False)
    return found


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _with(rows: pa.Table, marks: Mapping[str, Array | pa.Array]) -> pa.RecordBatch:
    """The rows as one batch, with some columns said."""
    columns = [marks.get(name, _array(rows[name])) for name in rows.column_names]
    return pa.record_batch(columns, schema=rows.schema)
