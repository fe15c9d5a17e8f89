"""What each user adds to counts that are published, bounded: of more items than a few, those few
whose hashes with the user's are smallest.

Hashes are of outside ids, so what a user adds depends on that user's own rows alone: neither on
indices, which others decide, too, nor on what others add.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import hashes
from emberline.numeric import hashing
from emberline.numeric.groups import place_among
from emberline.numeric.shared import Shared

HASHED = pa.schema([("id", pa.int32()), ("hash", pa.int64())])
BOUNDED = pa.schema([("user", pa.int32()), ("item", pa.int32())])
BY_USER = pa.schema([("block", pa.int32()), *BOUNDED, ("hash", pa.int64())])
LABELLED = pa.schema([("item", pa.int32()), ("label", pa.int32())])
LABELS = pa.schema([("label", pa.int32()), ("ratings", pa.int64())])
_PURPOSE = "contributions"


def hash_ids(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns of an index and an outside id to HASHED."""
    for batch in batches:
        found = hashes.of_columns(_PURPOSE, batch.column(1))
        yield pa.record_batch([batch.column(0), found.view(np.int64)], schema=HASHED)


def by_user(
    batches: Iterator[pa.RecordBatch], users: Shared, items: Shared, blocks: int
) -> Iterator[pa.RecordBatch]:
    """Columns user and item to BY_USER; `users` and `items` are hashes by their index."""
    for batch in batches:
        user, item = (column.to_numpy() for column in batch.columns)
        found = hashing.mix(users.value[user] + hashing.mix(items.value[item]))
        block = (user % blocks).astype(np.int32)
        yield pa.record_batch([block, user, item, found.view(np.int64)], schema=BY_USER)


def bounded(batches: Iterator[pa.RecordBatch], most: int) -> Iterator[pa.RecordBatch]:
    """BY_USER, all rows of a user beside each other, to BOUNDED: at most so many of each."""
    table = pa.Table.from_batches(list(batches), BY_USER)
    user, item, found = (table[name].to_numpy() for name in BY_USER.names[1:])
    order = np.lexsort((item, found, user))
    order = order[place_among(user[order]) < most]
    yield pa.record_batch([user[order], item[order]], schema=BOUNDED)


def labelled(batches: Iterator[pa.RecordBatch], labels: pa.Array) -> Iterator[pa.RecordBatch]:
    """Columns item and label to LABELLED: the place of each label, of items that have one."""
    for batch in batches:
        places = pc.index_in(batch.column(1), value_set=labels)
        found = pa.record_batch([batch.column(0), places], schema=LABELLED)
        yield found.filter(places.is_valid())


def count_labels(batches: Iterator[pa.RecordBatch], of_item: Shared) -> Iterator[pa.RecordBatch]:
    """BOUNDED to LABELS: how many rows are of items of each label, by its place; `of_item` has it
    by the item's index, -1 where there is none.
    """
    known = of_item.value
    for batch in batches:
        items = batch["item"].to_numpy()
        places = np.where(items < len(known), known[np.minimum(items, len(known) - 1)], -1)
        found, counts = np.unique(places[places >= 0], return_counts=True)
        yield pa.record_batch([found, counts], schema=LABELS)
