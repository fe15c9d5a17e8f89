"""Scores: the best columns of each row of a product, block by block, and the products of pairs."""

from collections.abc import Iterator
from functools import reduce
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf import topk
from emberline.cf.blocks import Block, product, rows_of
from emberline.cf.entries import Entries, places_in
from emberline.cf.pieces import PAIRS, assembled
from emberline.numeric.arrays import Float32, Int32

LISTS = pa.schema([("block", pa.int32()), ("ids", pa.binary()), ("keys", pa.binary())])
BEST = pa.schema(
    [("row", pa.int32()), ("column", pa.int32()), ("score", pa.float32()), ("rank", pa.int32())]
)
PREDICTED = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("predicted", pa.float32())])
_PAIRS = 1 << 16  # whose factors are side by side in memory
_TILE_ROWS, _TILE_COLUMNS = 256, 2048


def score_cell(
    pieces: Iterator[pa.RecordBatch],
    k: int,
    only_wanted: bool = False,
) -> Iterator[pa.RecordBatch]:
    """The k best columns of each row of left blocks, one row of LISTS each, among all right blocks.

    Given are PIECES with `is_left`: the right ones first, and those of a block after each other;
    left ones of kind EXCLUDED are pairs that are no candidates, and with `only_wanted` those of
    kind WANTED say which rows are asked for. Scores are the blocks' product. Products of sparse
    blocks count only where they are positive: two rows without a common entry are no candidates
    for each other.
    """
    rights: dict[int, Block] = {}
    for (is_left, number), group in groupby(rows_of(pieces), itemgetter("is_left", "block")):
        block, excluded = assembled(group, only_wanted and is_left)
        if block is None:
            continue
        if not is_left:
            rights[number] = block
            continue
        best = topk.TopK(len(block.ids), k, floor=0 if block.is_sparse else -np.inf)
        for right in rights.values():
            for row, ids, scores in _tiles(block, right):
                if excluded:
                    excluded.mask(row, scores, ids)
                best.add(row, scores, ids)
        yield pa.record_batch(
            [[number], [block.ids.tobytes()], [best.keys.tobytes()]], schema=LISTS
        )


def _tiles(left: Block, right: Block) -> Iterator[tuple[int, Int32, Float32]]:
    """The scores of two blocks, in pieces that stay in the processor's cache: the first row,
    the columns' ids, the scores.
    """
    for column in range(0, len(right.ids), _TILE_COLUMNS):
        part = right.rows(column, column + _TILE_COLUMNS)
        for row in range(0, len(left.ids), _TILE_ROWS):
            yield row, part.ids, product(left.rows(row, row + _TILE_ROWS), part)


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


def add(batches: Iterator[pa.RecordBatch], added: float) -> Iterator[pa.RecordBatch]:
    """BEST with something added to each score."""
    for batch in batches:
        scores = batch["score"].to_numpy() + np.float32(added)
        columns = [batch["row"], batch["column"], scores, batch["rank"]]
        yield pa.record_batch(columns, schema=BEST)


def pair_products(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The products of pairs of rows and columns: PIECES with `is_left`, the right ones first and
    those of a block after each other, to PREDICTED of those pairs whose both sides are there.

    Left ones of kind PAIRS are the pairs (row, column); all others are dense.
    """
    rights: dict[int, Block] = {}
    for (is_left, number), group in groupby(rows_of(pieces), itemgetter("is_left", "block")):
        found = list(group)
        block, _ = assembled(piece for piece in found if piece["kind"] != PAIRS)
        if block is None:
            continue
        if not is_left:
            rights[number] = block
            continue
        pairs = Entries.decoded(piece for piece in found if piece["kind"] == PAIRS)
        for right in rights.values():
            yield from _products(pairs, block, right)


def _products(pairs: Entries, left: Block, right: Block) -> Iterator[pa.RecordBatch]:
    rows, columns = (
        places_in(block.ids, ids) for block, ids in ((left, pairs.rows), (right, pairs.columns))
    )
    known = np.flatnonzero((rows >= 0) & (columns >= 0))
    for start in range(0, len(known), _PAIRS):
        some = known[start : start + _PAIRS]
        predicted = np.einsum("ij,ij->i", left.dense()[rows[some]], right.dense()[columns[some]])
        yield pa.record_batch([pairs.rows[some], pairs.columns[some], predicted], schema=PREDICTED)
