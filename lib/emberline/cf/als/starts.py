"""Packed blocks' factors to begin from: random ones, earlier ones, or those that workers have."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.als.factor_rows import FACTORS, factors_row
from emberline.cf.als.factors import initial_factors, unpublished
from emberline.cf.als.objective import Objective
from emberline.cf.als.packing import rated_blocks, ratings_of
from emberline.cf.blocks import matrix_of, portions, rows_of
from emberline.cf.entries import PIECES
from emberline.numeric.arrays import Float32, Int32
from emberline.numeric.shared import Shared

EARLIER = pa.schema([("id", pa.int32()), ("factors", pa.list_(pa.float32()))])
PUBLISHED, RATED = "published", "rated"
_PORTION = 1 << 18  # rows that are put into blocks at a time


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


def scatter_published(
    batches: Iterator[pa.RecordBatch], num_blocks: int
) -> Iterator[pa.RecordBatch]:
    """Columns id and factors, as they are published, to PIECES of kind PUBLISHED by block."""
    for table in portions(batches, _PORTION):
        ids = table.column(0).to_numpy()
        factors = matrix_of(table.column(1).combine_chunks(), len(ids))
        blocks = ids % num_blocks
        for block in np.unique(blocks).tolist():
            chosen = np.flatnonzero(blocks == block)
            row = {"block": block, "kind": PUBLISHED, "rows": ids[chosen].tobytes()}
            values = factors[chosen].tobytes()
            yield pa.RecordBatch.from_pylist([row | {"values": values}], schema=PIECES)


def published_pieces(pieces: Iterable[Mapping[str, Any]]) -> tuple[Int32, Float32]:
    """The ids (n,) and the factors (n, d) of all PIECES of kind PUBLISHED among some."""
    found = [piece for piece in pieces if piece["kind"] == PUBLISHED]
    if not found:
        return np.empty(0, np.int32), np.empty((0, 1), np.float32)
    ids = np.concatenate([np.frombuffer(piece["rows"], np.int32) for piece in found])
    values = np.concatenate([np.frombuffer(piece["values"], np.float32) for piece in found])
    return ids, values.reshape(len(ids), -1)


def rated_pieces(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to PIECES of kind RATED: ids, and how many ratings each has."""
    for row in rated_blocks(batches):
        ids, counts = ratings_of(row)
        piece = {"block": row["block"], "kind": RATED, "rows": ids.tobytes()}
        columns = counts.astype(np.int32).tobytes()
        yield pa.RecordBatch.from_pylist([piece | {"columns": columns}], schema=PIECES)


def continue_from(
    pieces: Iterator[pa.RecordBatch], side: str, objective: Objective, width: int
) -> Iterator[pa.RecordBatch]:
    """All PIECES of one block, of kinds RATED and PUBLISHED, to FACTORS of the rated ids.

    Ids without earlier factors begin at zero.
    """
    found = list(rows_of(pieces))
    known, before = published_pieces(found)
    for piece in (piece for piece in found if piece["kind"] == RATED):
        ids, counts = (np.frombuffer(piece[name], np.int32) for name in ("rows", "columns"))
        factors = np.zeros((len(ids), width), np.float32)
        _, places, kept = np.intersect1d(ids, known, assume_unique=True, return_indices=True)
        if len(kept):
            factors[places] = unpublished(before[kept], side, objective)
        row = factors_row(piece["block"], ids, counts.astype(np.int64), factors)
        yield pa.RecordBatch.from_pylist([row], schema=FACTORS)


def look_up(batches: Iterator[pa.RecordBatch], factors: Shared) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to FACTORS, from all factors of the side (ids, width)."""
    for row in rated_blocks(batches):
        ids, counts = ratings_of(row)
        yield pa.RecordBatch.from_pylist(
            [factors_row(row["block"], ids, counts, factors.value[ids])], schema=FACTORS
        )
