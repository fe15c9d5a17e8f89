"""The first picture of every item, by its file and its position there, under the item's index and
in the order of files; and what is said of all others.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import codes
from emberline.cleaning.media import PARKED
from emberline.datasets import parked
from emberline.numeric.arrays import Int64
from emberline.numeric.shared import Shared

GOOD = pa.schema([("block", pa.int32()), *PARKED])
JUDGED = pa.schema([("block", pa.int32()), ("code", pa.int64()), *PARKED])
NAMED = pa.schema([("item_id", pa.string()), ("spelling", pa.string()), ("reason", pa.string())])
ORDERED = pa.schema(
    [
        ("block", pa.int32()),
        ("item", pa.int32()),
        *(
            PARKED.field(name)
            for name in ("item_id", "label", "split", "group", "source_file", "position")
        ),
        *parked.PLACE,
    ]
)
PLACED = pa.schema(
    [*(ORDERED.field(n) for n in ("item", "item_id", "label", "split", "group")), *parked.PLACE]
)
COUNTED = pa.schema([("value", pa.string()), ("rows", pa.int64())])
SUMS = pa.schema([(name, PARKED.field(name).type) for name in ("totals", "squares")])
_ORDER = [("source_file", "ascending"), ("position", "ascending")]


def usable(batches: Iterator[pa.RecordBatch], blocks: int) -> Iterator[pa.RecordBatch]:
    """PARKED to GOOD: those that have pixels and an id, in blocks by it."""
    for batch in batches:
        rows = batch.filter(pc.and_(batch["reason"].is_null(), batch["item_id"].is_valid()))
        block = codes.block_of(rows["item_id"], blocks)
        yield pa.record_batch([block, *rows.columns], schema=GOOD)


def unusable(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """PARKED to a table of what is rejected: all others."""
    for batch in batches:
        reason = pc.fill_null(batch["reason"], "item_id is missing")
        place = batch.schema.get_field_index("reason")
        chosen = pc.or_(batch["reason"].is_valid(), batch["item_id"].is_null())
        rows = batch.set_column(place, batch.schema.field(place), reason).filter(chosen)
        yield rows.select(schema.names).cast(schema)


def judge(batches: Iterator[pa.RecordBatch], what: str, blocks: int) -> Iterator[pa.RecordBatch]:
    """GOOD, all of one block, to JUDGED: each with its id's code, and all but the first of an item
    with the reason that they are another one of `what` they are.
    """
    rows = pa.Table.from_batches(list(batches), GOOD)
    if not rows.num_rows:
        return
    found, _ = codes.codes_of(rows["item_id"], blocks)
    rows = rows.add_column(1, JUDGED.field("code"), pa.array(found))
    rows = rows.sort_by([("code", "ascending"), *_ORDER])
    code = rows["code"].to_numpy()
    is_first = np.diff(code, prepend=-1) != 0
    place = JUDGED.get_field_index("reason")
    reason = pc.if_else(
        pa.array(is_first), pa.scalar(None, pa.string()), f"another {what} of the same item"
    )
    yield from rows.set_column(place, JUDGED.field(place), reason).combine_chunks().to_batches()


def named(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """JUDGED to NAMED: no id of theirs has another spelling."""
    for batch in batches:
        nothing = pa.nulls(batch.num_rows, pa.string())
        yield pa.record_batch([batch["item_id"], nothing, batch["reason"]], schema=NAMED)


def repeated(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """JUDGED to a table of what is rejected."""
    for batch in batches:
        yield batch.filter(batch["reason"].is_valid()).select(schema.names).cast(schema)


def numbered(
    batches: Iterator[pa.RecordBatch], index: Shared, parts: int
) -> Iterator[pa.RecordBatch]:
    """JUDGED to ORDERED: those that are kept, under the `index` of their code (codes,), in so many
    blocks by where they lie.
    """
    for batch in batches:
        rows = batch.filter(batch["reason"].is_null())
        block = np.minimum(rows["at"].to_numpy() * parts, parts - 1).astype(np.int32)
        item = index.value[rows["code"].to_numpy()]
        others = [rows[name] for name in ORDERED.names[2:]]
        yield pa.record_batch([block, item, *others], schema=ORDERED)


def in_order(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """ORDERED, all of a block, to PLACED in the order of files."""
    rows = pa.Table.from_batches(list(batches), ORDERED).sort_by(_ORDER)
    yield from rows.select(PLACED.names).combine_chunks().to_batches()


# --------------------------------------------------------------------------------------------------
# how many there are


def count(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows of one column of texts to COUNTED."""
    for batch in batches:
        found = (
            pa.table([batch.column(0)], ["value"]).group_by("value").aggregate([([], "count_all")])
        )
        columns = [found["value"], found["count_all"]]
        yield from pa.table(columns, schema=COUNTED).combine_chunks().to_batches()


def add_up(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """JUDGED to SUMS of those that are kept."""
    for batch in batches:
        rows = batch.filter(batch["reason"].is_null())
        if rows.num_rows:
            sums = [_sums(rows[name], rows.num_rows) for name in SUMS.names]
            yield pa.record_batch([[one.tolist()] for one in sums], schema=SUMS)


def _sums(column: pa.Array, rows: int) -> Int64:
    found: Int64 = column.flatten().to_numpy().reshape(rows, -1).sum(axis=0)
    return found
