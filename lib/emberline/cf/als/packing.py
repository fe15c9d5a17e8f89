"""Ratings packed into blocks of both sides, as Spark's workers do it.

With B blocks a side, the user or item of id i is in block i % B. A packed block holds both sides'
rows of its number.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import BLOCK_FIELDS, Block, rows_of
from emberline.cf.entries import Entries, read
from emberline.numeric.arrays import Int32, Int64

SIDES = ("user", "item")
EXTENT = pa.schema([("user", pa.int32()), ("item", pa.int32())])
ACCOUNT = [
    ("ratings", pa.int64()),
    ("rows", pa.int64()),
    ("last", pa.int32()),  # the largest id
    ("total", pa.float64()),
    ("squares", pa.float64()),
    ("not_finite", pa.int64()),
    ("repeated", pa.int64()),
]
SENT = [("sent_ends", pa.binary()), ("sent", pa.binary())]
PACKED = pa.schema(
    [
        ("block", pa.int32()),
        *(
            (f"{side}_{name}", kind)
            for side in SIDES
            for name, kind in (*BLOCK_FIELDS, *SENT, *ACCOUNT)
        ),
    ]
)
_NONE = np.empty(0, np.int32)


def extent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user and item to a row with the largest of each."""
    for ratings in read(batches):
        yield pa.record_batch([[ratings.rows.max()], [ratings.columns.max()]], schema=EXTENT)


def scatter_ratings(batches: Iterator[pa.RecordBatch], num_blocks: int) -> Iterator[pa.RecordBatch]:
    """Columns user, item and value to PIECES: by the block of the user, and again by that of
    the item.
    """
    for ratings in read(batches):
        for kind, rows, columns in zip(
            SIDES, (ratings.rows, ratings.columns), (ratings.columns, ratings.rows), strict=True
        ):
            yield from Entries(rows, columns, ratings.values).pieces(rows % num_blocks, kind)


def pack_blocks(
    pieces: Iterator[pa.RecordBatch], num_blocks: int, routed: bool
) -> Iterator[pa.RecordBatch]:
    """All PIECES of one block to its row of PACKED.

    With `routed`, columns are not the other side's ids but positions among those that the block's
    ratings name, in the order of their block and then of their id; and `sent` are the positions of
    the rows that each block of the other side names in the same way, those of block b ending at
    `sent_ends[b + 1]`.
    """
    found = list(rated_blocks(pieces))
    if found:
        packed: dict[str, Any] = {"block": found[0]["block"]}
        for side in SIDES:
            ratings = Entries.decoded(piece for piece in found if piece["kind"] == side)
            columns = _pack(ratings, packed["block"], num_blocks, routed)
            packed |= {f"{side}_{name}": value for name, value in columns.items()}
        yield pa.RecordBatch.from_pylist([packed], schema=PACKED)


def _pack(ratings: Entries, number: int, num_blocks: int, routed: bool) -> dict[str, Any]:
    """One side's columns of PACKED; entries are in the order of row and column, in whichever
    order the pieces come.
    """
    block = ratings.block(number, num_blocks)
    count = len(block.values)
    account = {
        "ratings": count,
        "rows": len(block.ids),
        "last": block.ids.max(initial=-1),
        "total": block.values.sum(dtype=np.float64),
        "squares": np.square(block.values, dtype=np.float64).sum(),
        "not_finite": count - np.isfinite(block.values).sum(),
        "repeated": _repeated(block.indptr, block.indices),
    }
    sent_ends, sent = _sent(block, num_blocks) if routed else (_NONE, _NONE)
    if routed:
        block = replace(block, indices=_positions(block.indices, num_blocks))
    return {**block.encode(), "sent_ends": sent_ends.tobytes(), "sent": sent.tobytes(), **account}


def _sent(block: Block, num_blocks: int) -> tuple[Int64, Int32]:
    """Which rows, by position, each block of the other side needs: those that any of its ids
    has a rating with.
    """
    rows = np.repeat(np.arange(len(block.ids), dtype=np.int32), np.diff(block.indptr))
    matrix = Entries(block.indices % num_blocks, rows).matrix(num_blocks)
    matrix.has_canonical_format = False
    matrix.sum_duplicates()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)


def _repeated(indptr: Int64, columns: Int32) -> int:
    """How many entries have the place of the one before; rows are not empty."""
    same = columns[1:] == columns[:-1]
    same[indptr[1:-1] - 1] = False
    return int(same.sum())


def _positions(columns: Int32, num_blocks: int) -> Int32:
    """Where each column stands among the distinct ones, in the order of block and id."""
    keys = (columns % num_blocks).astype(np.int64) << 32 | columns
    positions: Int32 = np.unique(keys, return_inverse=True)[1].astype(np.int32)
    return positions


def ratings_of(row: Mapping[str, Any]) -> tuple[Int32, Int64]:
    """A packed block's ids and how many ratings each has."""
    indptr = np.frombuffer(row["indptr"], np.int64)
    return np.frombuffer(row["ids"], np.int32), indptr[1:] - indptr[:-1]


def rated_blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Rows of blocks, but for those without ids."""
    return (row for row in rows_of(batches) if "ids" not in row or len(row["ids"]))
