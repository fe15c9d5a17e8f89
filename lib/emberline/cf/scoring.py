"""Scores: the best columns of each row of a product, block by block, and the products of pairs."""

from collections.abc import Iterator
from functools import reduce
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf import topk
from emberline.cf.blocks import (
    Block,
    matrix_of,
    product,
    rows_of,
)
from emberline.cf.pieces import assembled
from emberline.numeric.arrays import Float32, Int32

LISTS = pa.schema([("block", pa.int32()), ("ids", pa.binary()), ("keys", pa.binary())])
BEST = pa.schema(
    [("row", pa.int32()), ("column", pa.int32()), ("score", pa.float32()), ("rank", pa.int32())]
)
_TILE_ROWS, _TILE_COLUMNS = 256, 2048


def score_cell(
    pieces: Iterator[pa.RecordBatch],
    k: int,
    random_seed: int | None = None,
    only_wanted: bool = False,
) -> Iterator[pa.RecordBatch]:
    """The k best columns of each row of left blocks, one row of LISTS each, among all right blocks.

    Given are PIECES with `is_left`: the right ones first, and those of a block after each other;
    left ones of kind EXCLUDED are pairs that are no candidates, and with `only_wanted` those of
    kind WANTED say which rows are asked for. Scores are the blocks' product, or,
    with a `random_seed`, uniform draws that depend on the seed and the blocks' numbers only.
    Products of sparse blocks count only where they are positive: two rows without a common entry
    are no candidates for each other.
    """
    rights: dict[int, Block] = {}
    for (is_left, number), group in groupby(rows_of(pieces), itemgetter("is_left", "block")):
        block, excluded = assembled(group, only_wanted and is_left)
        if block is None:
            continue
        if not is_left:
            rights[number] = block
            continue
        best = topk.TopK(
            len(block.ids), k, floor=0 if block.is_sparse and random_seed is None else -np.inf
        )
        for right_number, right in rights.items():
            seed = None if random_seed is None else (random_seed, number, right_number)
            for row, ids, scores in _tiles(block, right, seed):
                if excluded:
                    excluded.mask(row, scores, ids)
                best.add(row, scores, ids)
        yield pa.record_batch(
            [[number], [block.ids.tobytes()], [best.keys.tobytes()]], schema=LISTS
        )


def _tiles(
    left: Block, right: Block, seed: tuple[int, ...] | None
) -> Iterator[tuple[int, Int32, Float32]]:
    """The scores of two blocks, in pieces that stay in the processor's cache: the first row,
    the columns' ids, the scores.
    """
    rng = None if seed is None else np.random.default_rng(seed)
    for column in range(0, len(right.ids), _TILE_COLUMNS):
        part = right.rows(column, column + _TILE_COLUMNS)
        for row in range(0, len(left.ids), _TILE_ROWS):
            rows = left.rows(row, row + _TILE_ROWS)
            scores = (
                product(rows, part)
                if rng is None
                else rng.random((len(rows.ids), len(part.ids)), dtype=np.float32)
            )
            yield row, part.ids, scores


def merge_lists(lists: Iterator[pa.RecordBatch], k: int) -> Iterator[pa.RecordBatch]:
    """The k best of each row of left blocks: LISTS, those of a block after each other and of
    the same ids, to BEST.
    """
    for _, group in groupby(rows_of(lists), itemgetter("block")):
        found = list(group)
        keys = reduce(
            topk.merge, (np.frombuffer(row["keys"], np.uint64).reshape(-1, k) for row in found)
        )
        rows, columns, scores, ranks = topk.lists(keys)
        yield pa.record_batch(
            [np.frombuffer(found[0]["ids"], np.int32)[rows], columns, scores, ranks], schema=BEST
        )


def dot_products(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user_factors and item_factors, lists of one length, replaced by their dot product
    `predicted`.
    """
    for batch in batches:
        left, right = (
            matrix_of(batch[name], batch.num_rows) for name in ("user_factors", "item_factors")
        )
        predicted = pa.array(np.einsum("ij,ij->i", left, right), pa.float32())
        yield batch.drop_columns(["user_factors", "item_factors"]).append_column(
            "predicted", predicted
        )
