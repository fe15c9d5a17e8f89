"""Items that are withheld whole, and are rated in another set, too."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets.withholding import HOLDOUT, IDS_PER_BLOCK, VALIDATION
from emberline.numeric.arrays import Bool

# an item, and the first of its users in whose row it is cold, or is not, and where that row is
RATED = pa.schema(
    [
        ("block", pa.int32()),
        ("item", pa.int32()),
        ("user", pa.int32()),
        ("cold", pa.bool_()),
        ("place", pa.string()),
    ]
)
LEAKS = pa.schema(
    [("item", pa.int32()), ("cold", pa.int32()), ("warm", pa.int32()), ("place", pa.string())]
)


def rated(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Marked rows to RATED."""
    for batch in batches:
        held = pc.if_else(batch["held"].fill_null(False), HOLDOUT, "ratings")
        place = pc.if_else(batch["chosen"].fill_null(False), VALIDATION, held)
        cold = batch["cold"].fill_null(False)
        rows = pa.table([batch["item"], batch["user"], cold, place], RATED.names[1:])
        yield from _firsts(rows)


def leaking(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """RATED, all rows of an item beside it, to LEAKS: one item that leaks, if there is any."""
    rows = pa.Table.from_batches(list(batches), RATED).select(RATED.names[1:])
    for batch in _firsts(rows):
        items, is_cold = batch["item"].to_numpy(), _bools(batch["cold"])
        twice = np.intersect1d(items[is_cold], items[~is_cold])
        for item in twice[:1].tolist():
            cold, warm = (
                batch.filter(pa.array((items == item) & (is_cold == which))).to_pylist()[0]
                for which in (True, False)
            )
            row = [[item], [cold["user"]], [warm["user"]], [warm["place"]]]
            yield pa.record_batch(row, schema=LEAKS)


def _firsts(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Of each item the first row that is cold, and the first that is not, by their users."""
    if not rows.num_rows:
        return
    keys = [rows[name].to_numpy() for name in ("user", "cold", "item")]
    order = np.lexsort(keys)
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.any([np.diff(key[order].astype(np.int64)) != 0 for key in keys[1:]], axis=0)
    found = rows.take(pa.array(order[is_first])).combine_chunks()
    block = (found["item"].to_numpy() // IDS_PER_BLOCK).astype(np.int32)
    yield from pa.table([block, *found.columns], schema=RATED).combine_chunks().to_batches()


def _bools(column: pa.Array) -> Bool:
    found: Bool = column.to_numpy(zero_copy_only=False)
    return found
