"""Examples to learn from: items' pictures beside what is to be learnt of them, split by item and
ordered once. What tasks do of it.

An item's split and its place hang on hashes of its outside id, so that they stay when items arrive.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import hashes, parked
from emberline.datasets.groups import Groups, groups_of
from emberline.datasets.schema import SHARDS
from emberline.numeric.arrays import Bool

SPLITS = ("train", "val", "test", "none")
# what a picture is known by; `order` is its place among all, as signed 64 bits
PICTURES = pa.schema(
    [
        ("item", pa.int32()),
        ("item_id", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),  # to what it belongs, where that is asked for
        ("order", pa.int64()),
    ]
)
PARKED = pa.schema([*PICTURES, *parked.PLACE])
# a picture, or (without item_id) what is said of an item elsewhere
SAID = pa.schema(
    [
        ("block", pa.int32()),
        *PARKED,
        ("factors", pa.list_(pa.float32())),
        ("cold", pa.bool_()),
    ]
)
MET = pa.schema(list(SAID)[1:])
EXAMPLES = pa.schema(
    [
        *(pa.field(name, SHARDS.field(name).type) for name in SHARDS.names if name != "pixels"),
        ("order", pa.int64()),
        ("group", pa.string()),
        *parked.PLACE,
    ]
)
DEALT = pa.schema([("block", pa.int32()), *EXAMPLES])
COUNTED = pa.schema([("split", pa.string()), ("label", pa.int32()), ("rows", pa.int64())])


def pictures(
    batches: Iterator[pa.RecordBatch],
    seed: int,
    pattern: str | None = None,
    own_group: bool = False,
) -> Iterator[pa.RecordBatch]:
    """Columns item, item_id, label, split, group and pixels to PICTURES and pixels, each batch in
    the order in which they will be wanted; `pattern` finds groups in ids, else they are there, or
    do not count.
    """
    for batch in batches:
        order = hashes.of_columns(seed, "order", batch["item_id"]).view(np.int64)
        ids = batch["item_id"]
        group = batch["group"] if own_group else pa.nulls(len(ids), pa.string())
        group = group if pattern is None else groups_of(ids, pattern)
        rows = batch.set_column(4, "group", group).add_column(5, "order", pa.array(order))
        yield rows.take(pa.array(np.argsort(order, kind="stable")))


def met_by_item(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """Rows of items, of some of the columns of MET, to SAID, in blocks by item."""
    for batch in batches:
        block = pa.array(batch["item"].to_numpy() % blocks, pa.int32())
        given = {"block": block, **dict(zip(batch.schema.names, batch.columns, strict=True))}
        rows = [given.get(field.name, pa.nulls(batch.num_rows, field.type)) for field in SAID]
        yield pa.record_batch(rows, schema=SAID)


def saying_group(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Two columns to item and group."""
    for batch in batches:
        yield batch.rename_columns(["item", "group"])


def cold_items(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item and cold of ratings withheld to those items, each once a batch, that are
    withheld whole.
    """
    for batch in batches:
        items = batch["item"].filter(batch["cold"]).unique()
        yield pa.record_batch({"item": items, "cold": pa.repeat(True, len(items))})


def meet(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """SAID, all of one block, to MET: pictures with what is said of their items; their own label
    comes before.
    """
    rows = pa.Table.from_batches(list(batches), SAID)
    found = rows.filter(rows["item_id"].is_valid())
    others = rows.filter(rows["item_id"].is_null())
    label = pc.coalesce(found["label"], _of_item(found, others, "label"))
    columns = {name: found[name] for name in MET.names}
    group = pc.coalesce(found["group"], _of_item(found, others, "group"))
    columns |= {"label": label, "group": group}
    columns |= {name: _of_item(found, others, name) for name in ("factors", "cold")}
    yield from pa.table(columns, schema=MET).combine_chunks().to_batches()


def _of_item(found: pa.Table, others: pa.Table, name: str) -> pa.ChunkedArray:
    """What others say of each item; null where they say nothing."""
    saying = others.filter(others[name].is_valid())
    return saying[name].take(pc.index_in(found["item"], value_set=saying["item"]))


@dataclass(frozen=True)
class Division:
    """How pictures are divided: those for testing are told apart by their split, of the others the
    share `test` is drawn, and of what is left the share `val`, unless (`val` None) that is told,
    too. With `classes` labels are their places there; without, factors are learnt, and items
    withheld whole are for testing. With `groups` whole groups are drawn, or told. With `folds`,
    those of a `fold` are for testing, whatever is told. Where a share is `set_aside`, it is for
    testing, and what would be is for nothing.
    """

    seed: int
    val: float | None
    test: float
    classes: tuple[str, ...] | None
    groups: Groups | None = None
    fold: int = 0
    folds: int = 0
    set_aside: float = 0.0

    def of(self, rows: pa.RecordBatch) -> pa.Array:
        """The split of each row of MET."""
        ids = rows["item_id"]
        if self.classes is None:
            usable, tested = _true(rows["factors"].is_valid()), _true(rows["cold"])
        else:
            usable = _true(rows["label"].is_valid())
            tested = usable & self._tested(rows)
        if self.groups is not None:
            return _numbered(usable, usable & self.groups.tested(rows), self.groups.chosen(rows))
        if self.set_aside:
            usable = usable & ~tested
            tested = usable & hashes.is_drawn(self.set_aside, self.seed, "aside", ids)
        if self.val is None:
            chosen = _true(pc.equal(rows["split"], "val"))
        else:
            chosen = hashes.is_drawn(self.val, self.seed, "val", ids)
        return _numbered(usable, tested, chosen)

    def _tested(self, rows: pa.RecordBatch) -> Bool:
        """Of classes, which pictures are for testing."""
        ids = rows["item_id"]
        if self.folds:
            bucket = hashes.bucket_of(self.seed, "test", ids)
            in_fold: Bool = bucket * self.folds // hashes.BUCKETS + 1 == self.fold
            return in_fold
        drawn = hashes.is_drawn(self.test, self.seed, "test", ids)
        told = _true(pc.equal(rows["split"], "test"))
        found: Bool = np.where(_true(rows["split"].is_valid()), told, drawn)
        return found


def _numbered(usable: Bool, tested: Bool, chosen: Bool) -> pa.Array:
    """By name the split of each row (n,)."""
    number = np.select([tested, usable & chosen, usable], [2, 1, 0], 3)
    return pa.array(SPLITS).take(pa.array(number))


def _true(values: pa.Array) -> Bool:
    found: Bool = values.fill_null(False).to_numpy(zero_copy_only=False)
    return found


def divide(batches: Iterator[pa.RecordBatch], division: Division) -> Iterator[pa.RecordBatch]:
    """MET to EXAMPLES."""
    for batch in batches:
        columns: dict[str, Any] = {name: batch[name] for name in MET.names if name != "cold"}
        columns["split"] = division.of(batch)
        if division.classes is None:
            columns["label"] = pa.nulls(batch.num_rows, pa.int32())
        else:
            columns["label"] = pc.index_in(batch["label"], pa.array(division.classes, pa.string()))
        yield pa.record_batch([columns[name] for name in EXAMPLES.names], schema=EXAMPLES)


def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns split and label to COUNTED."""
    for batch in batches:
        found = pa.Table.from_batches([batch]).group_by(["split", "label"])
        counted = found.aggregate([([], "count_all")])
        columns = [counted[name] for name in ("split", "label", "count_all")]
        yield from pa.table(columns, schema=COUNTED).combine_chunks().to_batches()


def deal(
    batches: Iterator[pa.RecordBatch], splits: Sequence[str], shards: int
) -> Iterator[pa.RecordBatch]:
    """EXAMPLES to DEALT: those of some splits, by the number of their shard. A hash is as often in
    one part of its range as in another.
    """
    for batch in batches:
        rows = batch.filter(pc.is_in(batch["split"], pa.array(splits)))
        share = rows["order"].to_numpy() / 2.0**64 + 0.5
        # the last hashes round up to the end of the range
        shard = np.minimum((share * shards).astype(np.int64), shards - 1)
        yield pa.record_batch([shard.astype(np.int32), *rows.columns], schema=DEALT)


def in_order(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """DEALT, all of one shard, to EXAMPLES in the order in which they are read."""
    rows = pa.Table.from_batches(list(batches), DEALT)
    rows = rows.sort_by([("order", "ascending"), ("item_id", "ascending")])
    yield from rows.select(EXAMPLES.names).combine_chunks().to_batches()
