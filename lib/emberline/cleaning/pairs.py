"""Clean events of one user and one item become one interaction: merged, kept or left out.

Events are brought beside those of their user, where all of a pair are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import codes, times
from emberline.cleaning.codes import micros
from emberline.cleaning.shield import is_hidden
from emberline.datasets.schema import INTERACTIONS, REJECTED_RATINGS
from emberline.numeric.arrays import Bool, Int64
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

_EVENT = [
    ("value", pa.float32()),
    ("timestamp", times.MOMENT),
    ("split", pa.string()),
    ("source_file", pa.string()),
    ("raw", pa.string()),
]
BY_USER = pa.schema(
    [
        ("block", pa.int32()),
        ("item", pa.int64()),
        ("user_id", pa.string()),
        ("item_id", pa.string()),  # where it may have to be told
        *_EVENT,
    ]
)
# `latest` says which of a pair's rows has its value; `conflict` is what is wrong with one of them
MERGED = pa.schema(
    [
        ("user", pa.int64()),
        ("item", pa.int64()),
        ("latest", pa.bool_()),
        ("conflict", pa.string()),
        *_EVENT,
    ]
)
CONFLICTS = pa.schema([("conflict", pa.string())])
GIVEN = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("given", pa.string())])
SETS = pa.schema([("name", pa.string()), ("count", pa.int64())])
CODES = pa.schema([("block", pa.int32()), ("code", pa.int64()), ("count", pa.int64())])
REASONS = {
    "latest": "duplicate of a later event",
    "sum": "added to the pair's sum",
    "max": "not the pair's maximum",
}
_SHOWN = 120  # characters of a row
_BATCH = 1 << 17  # rows


def by_user(
    batches: Iterator[pa.RecordBatch], items: Shared, blocks: int
) -> Iterator[pa.RecordBatch]:
    """Rows of events to BY_USER, the good ones; `items` is a codes.Lookup of them."""
    for batch in batches:
        good = batch.filter(batch["reason"].is_null())
        block, item = codes.block_of(good["user_id"], blocks), items.value.codes_of(good["item_id"])
        is_told = good["split"].null_count < good.num_rows
        item_ids = good["item_id"] if is_told else pa.nulls(good.num_rows, pa.string())
        rest = [good[name] for name in BY_USER.names[4:]]
        yield pa.record_batch([block, item, good["user_id"], item_ids, *rest], schema=BY_USER)


def merge(batches: Iterator[pa.RecordBatch], keep: str, blocks: int) -> Iterator[pa.RecordBatch]:
    """BY_USER, all rows of a user beside it, to MERGED: the latest row of each pair has its value,
    which is that row's own, or the sum or the maximum of all.

    Of equally late rows the one of the largest value is the latest, and then the first by file and
    text.
    """
    found = [batch for batch in batches if batch.num_rows]
    if not found:
        return
    rows = pa.Table.from_batches(found, BY_USER)
    users, _ = codes.codes_of(rows["user_id"], blocks)
    items = rows["item"].to_numpy()
    order, begins = _ordered(rows, users, items)
    latest = np.zeros(len(rows), bool)
    latest[order[begins]] = True
    values = rows["value"].to_numpy()
    if keep != "latest":
        of_pairs = np.add if keep == "sum" else np.maximum
        values = values.copy()
        with np.errstate(over="ignore"):
            values[order[begins]] = of_pairs.reduceat(values[order].astype(np.float64), begins)
    conflicts = _conflicts(rows, order, begins)
    for batch, user, item, last, value, conflict in _beside(
        found, users, items, latest, values, conflicts
    ):
        columns = [user, item, last, conflict, value, *batch.columns[5:]]
        yield pa.record_batch(columns, schema=MERGED)


def conflicts(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """MERGED to CONFLICTS: what is wrong with pairs whose rows are of two sets."""
    for batch in batches:
        yield pa.record_batch([batch["conflict"].drop_null()], schema=CONFLICTS)


def _ordered(rows: pa.Table, users: Int64, items: Int64) -> tuple[Int64, Int64]:
    """The order of rows (n,) in which pairs stand together, the latest row of each first; and where
    in it each pair begins.
    """
    pairs = users * (items.max() + 1) + items
    order = np.argsort(pairs, kind="stable")
    begins = _begins(pairs[order])
    is_repeated = np.repeat(
        np.diff(begins, append=len(order)) > 1, np.diff(begins, append=len(order))
    )
    some = np.flatnonzero(is_repeated)
    if len(some):
        order[some] = _latest_first(rows, order[some], pairs)
    return order, begins


def _latest_first(rows: pa.Table, places: Int64, pairs: Int64) -> Int64:
    """Those places in the order of pairs, then times, the latest first, then values, the largest
    first, then files and texts.
    """
    chosen = rows.select(["timestamp", "value", "source_file", "raw"]).take(pa.array(places))
    keys = (pairs[places], -micros(chosen["timestamp"]), -chosen["value"].to_numpy())
    order = np.lexsort(keys[::-1])
    ordered = [key[order] for key in keys]
    is_new = np.any([np.diff(key, prepend=key[0] - 1) != 0 for key in ordered], axis=0)
    tie = np.cumsum(is_new)
    tied = np.flatnonzero(np.bincount(tie)[tie] > 1)
    if len(tied):
        texts = chosen.select(["source_file", "raw"]).take(pa.array(order[tied]))
        texts = texts.append_column("tie", pa.array(tie[tied]))
        by = [(name, "ascending") for name in ("tie", "source_file", "raw")]
        order[tied] = order[tied][pc.sort_indices(texts, by).to_numpy()]
    return places[order]


def _begins(ordered: Int64) -> Int64:
    """Where groups of equal numbers begin."""
    return np.flatnonzero(place_among(ordered) == 0)


def _conflicts(rows: pa.Table, order: Int64, begins: Int64) -> pa.Array:
    """Of one pair whose rows are of two sets, which they are and where they stand; null elsewhere:
    (n,).
    """
    nothing = pa.nulls(len(rows), pa.string())
    splits, names = codes.ranked(rows["split"])
    if len(names) < 2:
        return nothing
    ordered = splits[order]
    greatest = np.maximum.reduceat(ordered, begins)
    least = np.minimum.reduceat(np.where(ordered < 0, len(names), ordered), begins)
    wrong = np.flatnonzero((greatest >= 0) & (least < greatest))
    if not len(wrong):
        return nothing
    pairs = rows.select(["user_id", "item_id"]).take(pa.array(order[begins[wrong]]))
    first = pc.sort_indices(pairs, [("user_id", "ascending"), ("item_id", "ascending")])[0].as_py()
    pair, number = pairs.slice(first, 1).to_pylist()[0], wrong[first]
    stop = begins[number + 1] if number + 1 < len(begins) else len(order)
    group = order[begins[number] : stop]
    one, other = (group[splits[group] == rank][0] for rank in (least[number], greatest[number]))
    told = (
        f"user {pair['user_id']!r} and item {pair['item_id']!r} are in two sets:"
        f" {_place(rows, one)} and {_place(rows, other)}"
    )
    is_first = np.arange(len(rows)) == group[0]
    return pc.if_else(pa.array(is_first), told, nothing)


def _place(rows: pa.Table, row: int) -> str:
    found = {name: rows[name][row].as_py() for name in ("split", "source_file", "raw")}
    shown = f"{found['source_file']}: {found['raw'][:_SHOWN]}"
    return f"{found['split']} ({shown!r})"


# --------------------------------------------------------------------------------------------------
# users and items with enough ratings


@dataclass(frozen=True)
class Latest:
    """The interactions (n,) of some users, all of them: of each pair its latest row. `places` are
    users' own, from 0.
    """

    users: Int64
    items: Int64
    places: Int64

    @classmethod
    def of(cls, batches: Iterator[pa.RecordBatch], items: Shared) -> "Latest":
        """Those rows of MERGED that are the latest, and of `items` that are left (codes,)."""
        found = [batch.select(["user", "item"]).filter(batch["latest"]) for batch in batches]
        rows = pa.Table.from_batches(found, pa.schema(list(MERGED)[:2]))
        users, rated = rows["user"].to_numpy(), rows["item"].to_numpy()
        chosen = items.value[rated]
        users, rated = users[chosen], rated[chosen]
        return cls(users, rated, np.unique(users, return_inverse=True)[1])

    def have_enough(self, minimum: int) -> Bool:
        """Whether each one's user has so many."""
        enough: Bool = np.bincount(self.places)[self.places] >= minimum
        return enough


def count_items(
    batches: Iterator[pa.RecordBatch], minimum: int, items: Shared, blocks: int
) -> Iterator[pa.RecordBatch]:
    """MERGED to CODES: of the items that are left, how many ratings they have by users who have
    the `minimum`.
    """
    rows = Latest.of(batches, items)
    found, counts = np.unique(rows.items[rows.have_enough(minimum)], return_counts=True)
    yield pa.record_batch([(found % blocks).astype(np.int32), found, counts], schema=CODES)


def with_enough(batches: Iterator[pa.RecordBatch], minimum: int) -> Iterator[pa.RecordBatch]:
    """CODES to CODES, each code once, those whose counts come to the `minimum`."""
    rows = pa.Table.from_batches(list(batches), CODES)
    found, places = np.unique(rows["code"].to_numpy(), return_inverse=True)
    counts = np.bincount(places, rows["count"].to_numpy(), len(found)).astype(np.int64)
    enough = counts >= minimum
    blocks = np.zeros(enough.sum(), np.int32)
    yield pa.record_batch([blocks, found[enough], counts[enough]], schema=CODES)


def users_left(
    batches: Iterator[pa.RecordBatch], minimum: int, items: Shared
) -> Iterator[pa.RecordBatch]:
    """MERGED to CODES: the users who have the `minimum` of ratings of the items that are left."""
    rows = Latest.of(batches, items)
    found, counts = np.unique(rows.users[rows.have_enough(minimum)], return_counts=True)
    yield pa.record_batch([np.zeros(len(found), np.int32), found, counts], schema=CODES)


# --------------------------------------------------------------------------------------------------
# what is kept, and what is not


def interactions(
    batches: Iterator[pa.RecordBatch], users: Shared, items: Shared
) -> Iterator[pa.RecordBatch]:
    """MERGED to the table's columns, in the order of users and items; `users` and `items` are
    indices (codes,), -1 for those that are left out.
    """
    names = ["user", "item", "value", "timestamp", "split"]
    found = [batch.filter(batch["latest"]).select(names) for batch in batches]
    rows = pa.Table.from_batches(found, pa.schema([MERGED.field(name) for name in names]))
    user, item = users.value[rows["user"].to_numpy()], items.value[rows["item"].to_numpy()]
    order = np.lexsort((item, user))
    order = order[(user[order] >= 0) & (item[order] >= 0)]
    rest = rows.select(names[2:]).take(pa.array(order)).columns
    table = pa.table([pa.array(user[order]), pa.array(item[order]), *rest], schema=INTERACTIONS)
    yield from table.combine_chunks().to_batches(_BATCH)


def given(
    batches: Iterator[pa.RecordBatch], users: Shared, items: Shared
) -> Iterator[pa.RecordBatch]:
    """MERGED to GIVEN: of each pair of known users and items its set; `users` and `items` as for
    `interactions`.
    """
    for batch in batches:
        user, item = users.value[batch["user"].to_numpy()], items.value[batch["item"].to_numpy()]
        chosen = pc.and_(batch["latest"], pa.array((user >= 0) & (item >= 0)))
        yield pa.record_batch([user, item, batch["split"]], schema=GIVEN).filter(chosen)


def count_sets(batches: Iterator[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """Rows of interactions, or the latest of MERGED, to SETS, by a column that names a set."""
    for batch in batches:
        names = batch[column]
        if "latest" in batch.schema.names:
            names = names.filter(batch["latest"])
        found = pc.value_counts(names.drop_null())
        yield pa.record_batch([found.field("values"), found.field("counts")], schema=SETS)


def unusable(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of events to rejected ones: those that hold no usable rating, or none that is
    wanted; of people who were forgotten none.
    """
    for batch in batches:
        bad = batch.filter(pc.and_not(batch["reason"].is_valid(), is_hidden(batch)))
        columns = [bad[name] for name in REJECTED_RATINGS.names]
        yield pa.record_batch(columns, schema=REJECTED_RATINGS)


def left_out(
    batches: Iterator[pa.RecordBatch],
    keep: str,
    minimums: dict[str, int],
    users: Shared,
    items: Shared,
) -> Iterator[pa.RecordBatch]:
    """MERGED to rejected ones: rows that went into another row of the same user and item, and
    those of users and items that stay under their minimum. `users` and `items` as for
    `interactions`.
    """
    few = {side: pa.scalar(f"{side} has fewer than {minimums[side]} ratings") for side in minimums}
    for batch in batches:
        rare_user = pa.array(users.value[batch["user"].to_numpy()] < 0)
        rare_item = pa.array(items.value[batch["item"].to_numpy()] < 0)
        rare = pc.if_else(rare_user, few["user"], pc.if_else(rare_item, few["item"], None))
        reason = pc.if_else(batch["latest"], rare, REASONS[keep])
        outcome = pc.if_else(batch["latest"], "filtered", "merged")
        rows = [batch["source_file"], outcome, reason, batch["raw"]]
        found = pa.record_batch(rows, REJECTED_RATINGS.names).filter(reason.is_valid())
        yield pa.record_batch(found.columns, schema=REJECTED_RATINGS)


def _beside(batches: list[pa.RecordBatch], *columns: Any) -> Iterator[tuple[Any, ...]]:
    """Each batch with its share of columns (n,) of all their rows."""
    at = 0
    for batch in batches:
        stop = at + batch.num_rows
        yield (batch, *(column[at:stop] for column in columns))
        at = stop
