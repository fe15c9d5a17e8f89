"""Groups of items that are in one set together, such as the recordings of a speaker. What tasks do
of it.

A group's set hangs on a hash of its name, so that it stays when items arrive. Of few groups the one
of the smallest hash is drawn where none would be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import hashes
from emberline.numeric.arrays import Bool, Int64

BUCKETS = pa.schema([("bucket", pa.int64())])
NAMES = pa.schema([("name", pa.string())])
PLACED = pa.schema([("block", pa.int32()), ("group", pa.string()), ("split", pa.string())])
LEAKS = pa.schema([("group", pa.string()), ("one", pa.string()), ("other", pa.string())])


def groups_of(ids: pa.Array, pattern: str) -> pa.Array:
    """By a pattern's group, or else all that it finds in an id; null where it finds nothing."""
    compiled = re.compile(pattern)
    found = [compiled.search(item_id) for item_id in ids.to_pylist()]
    place = 1 if compiled.groups else 0
    return pa.array([each and each[place] for each in found], pa.string())


@dataclass(frozen=True)
class Groups:
    """Which groups are tested on, and which of the others choose a model: those of some names,
    those whose bucket is below a limit, or (None) those that the publisher says.
    """

    seed: int
    test: tuple[str, ...] | int | None
    val: int | None

    def tested(self, rows: pa.RecordBatch) -> Bool:
        """Of each row of columns group and split."""
        if isinstance(self.test, tuple):
            return _true(pc.is_in(rows["group"], pa.array(self.test, pa.string())))
        if self.test is None:
            return _true(pc.equal(rows["split"], "test"))
        below: Bool = self.buckets(rows, "test") < self.test
        return below

    def chosen(self, rows: pa.RecordBatch) -> Bool:
        """Of each row of columns group and split that is not tested."""
        if self.val is None:
            return _true(pc.equal(rows["split"], "val"))
        below: Bool = self.buckets(rows, "val") < self.val
        return below

    def buckets(self, rows: pa.RecordBatch, purpose: str) -> Int64:
        """Of the group of each row (n,)."""
        return hashes.bucket_of(self.seed, f"{purpose} group", rows["group"])


def _true(values: pa.Array) -> Bool:
    found: Bool = values.fill_null(False).to_numpy(zero_copy_only=False)
    return found


def usable(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Those with a label."""
    return rows.filter(rows["label"].is_valid())


def nameless(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns item_id, label and group to NAMES: of a batch one item that has a label and belongs
    to no group, if there is any.
    """
    for batch in batches:
        rows = usable(batch)
        names = rows["item_id"].filter(rows["group"].is_null())
        yield pa.record_batch([names.slice(0, 1)], schema=NAMES)


def present(batches: Iterator[pa.RecordBatch], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Columns label and group to NAMES: those of some groups that have an item with a label."""
    for batch in batches:
        groups = usable(batch)["group"].unique()
        found = groups.filter(pc.is_in(groups, pa.array(names, pa.string())))
        yield pa.record_batch([found], schema=NAMES)


def lowest(
    batches: Iterator[pa.RecordBatch], groups: Groups, purpose: str
) -> Iterator[pa.RecordBatch]:
    """Columns label, group and split to BUCKETS: of a batch the smallest one that is not tested."""
    for batch in batches:
        rows = usable(batch)
        rows = rows.filter(pa.array(~groups.tested(rows)))
        if rows.num_rows:
            bucket = [int(groups.buckets(rows, purpose).min())]
            yield pa.record_batch([bucket], schema=BUCKETS)


def placed(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """Columns group and split, which items are in now, to PLACED, each once a batch, in blocks by
    group.
    """
    for batch in batches:
        rows = pa.Table.from_batches([batch.filter(pc.not_equal(batch["split"], "none"))])
        once = rows.group_by(["group", "split"]).aggregate([]).combine_chunks()
        for part in once.to_batches():
            hashed = hashes.of_columns(0, "block", part["group"])
            block = (hashed % np.uint64(blocks)).astype(np.int32)
            yield pa.record_batch([block, part["group"], part["split"]], schema=PLACED)


def leaking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """PLACED, all rows of a group beside it, to LEAKS: one group that is in two sets, if any is."""
    rows = pa.Table.from_batches(list(batches), PLACED)
    ends = rows.group_by("group").aggregate([("split", "min"), ("split", "max")])
    twice = ends.filter(pc.not_equal(ends["split_min"], ends["split_max"])).slice(0, 1)
    columns = [twice[name] for name in ("group", "split_min", "split_max")]
    yield from pa.table(columns, schema=LEAKS).combine_chunks().to_batches()
