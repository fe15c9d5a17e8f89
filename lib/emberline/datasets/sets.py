"""Interactions that withholding has marked, as the sets that they are in."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets.withholding import HOLDOUT, VALIDATION

ASIDE = "aside"  # in none of the sets
COUNTED = pa.schema([("rows", pa.int64())])


def of_set(
    batches: Iterator[pa.RecordBatch], name: str, by_validation: bool = False
) -> Iterator[pa.RecordBatch]:
    """Those of the marked rows that are of one of SETS, or ASIDE. With `by_validation` models are
    measured by what they are chosen by: that is the holdout, too, and the holdout is ASIDE.
    """
    for batch in batches:
        later, chosen = (batch[mark].fill_null(False) for mark in ("aside", "chosen"))
        withheld = pc.and_not(pc.or_(batch["held"], batch["cold"]), later)
        conditions = {
            HOLDOUT: chosen if by_validation else withheld,
            VALIDATION: pc.and_not(chosen, batch["new"]) if by_validation else chosen,
            ASIDE: pc.or_(later, withheld) if by_validation else later,
            "ratings": pc.invert(pc.or_(pc.or_(withheld, chosen), later)),
        }
        if by_validation:
            batch = batch.set_column(batch.schema.names.index("cold"), "cold", batch["new"])
        yield batch.filter(conditions[name])


def count_rows(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """How many rows there are, to COUNTED."""
    yield pa.record_batch([[sum(batch.num_rows for batch in batches)]], schema=COUNTED)
