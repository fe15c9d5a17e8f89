"""The rows of a matrix in pieces, from which blocks are put together for a product of two
matrices.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import topk
from emberline.cf.blocks import (
    Block,
    dense_block,
    matrix_of,
    portions,
)
from emberline.cf.entries import PIECES, Entries, read
from emberline.numeric.arrays import Int32

EXCLUDED, WANTED = "excluded", "wanted"
PAIRS = "pairs"
DENSE, SPARSE = "dense", "sparse"
SIZES = pa.schema([("bytes", pa.int64())])
_PORTION_ROWS = 1 << 22


def scatter_dense(batches: Iterator[pa.RecordBatch], block_size: int) -> Iterator[pa.RecordBatch]:
    """Dense rows, columns id and factors (lists of one length), to PIECES by blocks of so many
    ids: their ids, and values.
    """
    for table in portions(batches, _PORTION_ROWS):
        ids, factors = table.column(0).to_numpy(), table.column(1).combine_chunks()
        for number, piece in dense_block(ids, matrix_of(factors, len(ids))).cut(block_size):
            row = {
                "block": number,
                "kind": DENSE,
                "rows": piece.ids.tobytes(),
                "values": piece.values.tobytes(),
            }
            yield pa.RecordBatch.from_pylist([row], schema=PIECES)


def scatter_sparse(
    batches: Iterator[pa.RecordBatch], block_size: int, kind: str, damped: bool = False
) -> Iterator[pa.RecordBatch]:
    """Entries of a sparse matrix, as `entries.read` takes them, to PIECES by blocks of so many
    ids; `damped`: log(1 + value).
    """
    for entries in read(batches):
        portion = replace(entries, values=np.log1p(entries.values)) if damped else entries
        yield from portion.pieces(portion.rows // block_size, kind)


def scatter_wanted(batches: Iterator[pa.RecordBatch], block_size: int) -> Iterator[pa.RecordBatch]:
    """A column of ids, and perhaps one that says which do not count, to PIECES of kind WANTED."""
    for table in portions(batches, _PORTION_ROWS):
        ids = table.column(0).to_numpy()
        if table.num_columns > 1:
            ids = ids[~table.column(1).to_numpy().astype(bool)]
        distinct = np.unique(ids)
        yield from Entries(distinct, distinct).pieces(distinct // block_size, WANTED)


def sizes(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """PIECES to how many bytes those of a batch have."""
    for batch in batches:
        lengths = (pc.sum(pc.binary_length(batch[name])) for name in ("rows", "columns", "values"))
        total = sum(length.as_py() or 0 for length in lengths)
        yield pa.RecordBatch.from_pylist([{"bytes": total}], schema=SIZES)


def ids_of_kind(pieces: Iterable[dict[str, Any]], kind: str) -> Int32:
    """The ids that PIECES of a kind have as rows: (n,), ascending, each once."""
    ids = [np.frombuffer(piece["rows"], np.int32) for piece in pieces if piece["kind"] == kind]
    return np.unique(np.concatenate([np.empty(0, np.int32), *ids]))


def assembled(
    pieces: Iterable[dict[str, Any]], only_wanted: bool = False
) -> tuple[Block | None, topk.Excluded | None]:
    """The block that PIECES of one number make, if they are not only of what it excludes, and
    what that is; with `only_wanted`, of the rows that are of kind WANTED.
    """
    found = list(pieces)
    own = [piece for piece in found if piece["kind"] not in (EXCLUDED, WANTED)]
    excluded = [piece for piece in found if piece["kind"] == EXCLUDED]
    if not own:
        return None, None
    block = _stacked(own) if own[0]["kind"] == DENSE else _sparse(own)
    if only_wanted:
        block = block.take(np.isin(block.ids, ids_of_kind(found, WANTED)))
    if not len(block.ids):
        return None, None
    return block, topk.Excluded(block.ids, _sparse(excluded)) if excluded else None


def _sparse(pieces: list[dict[str, Any]]) -> Block:
    entries = Entries.decoded(pieces)
    return entries.block(first=int(entries.rows.min()))


def _stacked(pieces: list[dict[str, Any]]) -> Block:
    ids = np.concatenate([np.frombuffer(piece["rows"], np.int32) for piece in pieces])
    factors = np.concatenate([np.frombuffer(piece["values"], np.float32) for piece in pieces])
    return dense_block(ids, factors.reshape(len(ids), -1))
