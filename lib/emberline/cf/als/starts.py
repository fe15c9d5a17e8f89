"""Packed blocks' factors to begin from: random ones, earlier ones, or those that workers have."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf.als.factor_rows import FACTORS, factors_row
from emberline.cf.als.factors import initial_factors, unpublished
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import rated_blocks, ratings_of
from emberline.cf.als.steps import Shared
from emberline.cf.blocks import matrix_of


def begin(
    batches: Iterator[pa.RecordBatch], rank: int, objective: Objective, seed: int, nonnegative: bool
) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to FACTORS: random directions, biases of zero."""
    for row in rated_blocks(batches):
        ids, counts = ratings_of(row)
        factors = np.zeros((len(ids), objective.width(rank)), np.float32)
        factors[:, :rank] = initial_factors(ids, rank, seed, nonnegative)
        yield pa.RecordBatch.from_pylist(
            [factors_row(row["block"], ids, counts, factors)], schema=FACTORS
        )


def continue_from(
    packed: pa.Table, earlier: pa.Table, side: str, objective: Objective, width: int
) -> pa.Table:
    """Columns block, ids and indptr, and published factors (columns id and factors) of that block,
    to FACTORS.

    Ids without earlier factors begin at zero.
    """
    known = earlier["id"].to_numpy()
    rows = []
    for row in rated_blocks(iter(packed.to_batches())):
        ids, counts = ratings_of(row)
        factors = np.zeros((len(ids), width), np.float32)
        if len(known):
            _, places, found = np.intersect1d(ids, known, assume_unique=True, return_indices=True)
            before = matrix_of(earlier["factors"].combine_chunks(), len(known))
            factors[places] = unpublished(before[found], side, objective)
        rows.append(factors_row(row["block"], ids, counts, factors))
    return pa.Table.from_pylist(rows, schema=FACTORS)


def look_up(batches: Iterator[pa.RecordBatch], factors: Shared) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to FACTORS, from all factors of the side (ids, width)."""
    for row in rated_blocks(batches):
        ids, counts = ratings_of(row)
        yield pa.RecordBatch.from_pylist(
            [factors_row(row["block"], ids, counts, factors.value[ids])], schema=FACTORS
        )
