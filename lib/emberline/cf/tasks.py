"""What Spark's Python workers run: Arrow tables in, Arrow tables out, the arithmetic in between
by NumPy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import reduce
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf import metrics, topk
from emberline.cf.als import half_step as als
from emberline.cf.blocks import (
    BLOCK_FIELDS,
    Block,
    decode,
    dense_block,
    matrix_of,
    portions,
    product,
    rows_of,
)
from emberline.cf.entries import PIECES, Entries, read
from emberline.numeric.arrays import Float32, Int32

BLOCKS = pa.schema([("block", pa.int32()), *BLOCK_FIELDS])
LISTS = pa.schema([("block", pa.int32()), ("ids", pa.binary()), ("keys", pa.binary())])
BEST = pa.schema(
    [("row", pa.int32()), ("column", pa.int32()), ("score", pa.float32()), ("rank", pa.int32())]
)
SUMS = pa.schema(
    [
        ("model", pa.string()),
        ("users", pa.int64()),
        ("totals", pa.list_(pa.float64())),
        ("squares", pa.list_(pa.float64())),
    ]
)
PLACES = pa.schema(
    [
        ("model", pa.string()),
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("above", pa.int64()),
        ("equal", pa.int64()),
    ]
)
ITEM_FACTORS = pa.schema([("item", pa.int32()), ("factors", pa.list_(pa.float32()))])
GRAMIANS = pa.schema([("gramian", pa.binary())])
TARGETS = pa.schema(
    [
        ("split", pa.string()),
        ("count", pa.int64()),
        ("total", pa.list_(pa.float64())),
        ("squares", pa.list_(pa.float64())),
    ]
)
WANTED = "wanted_"
_TIE = 1e-6  # scores this near to each other, as shares of the larger of 1 and the score, are equal
EXCLUDED = "excluded"
RIGHT = "right_"
DENSE, SPARSE = "dense", "sparse"
_TILE_ROWS, _TILE_COLUMNS = 256, 2048
_PORTION_ROWS = 1 << 22


def pack_dense(rows: pa.Table) -> pa.Table:
    """One block of dense rows: columns block, row and factors (lists of one length) to one row
    of BLOCKS.
    """
    factors = rows["factors"].combine_chunks()
    return _packed(rows, dense_block(rows["row"].to_numpy(), matrix_of(factors, len(factors))))


def pack_sparse(entries: pa.Table) -> pa.Table:
    """One block of sparse rows: columns block, row, column and value to one row of BLOCKS."""
    return _packed(
        entries, Entries(*(entries[name].to_numpy() for name in ("row", "column", "value"))).block()
    )


def _packed(rows: pa.Table, block: Block) -> pa.Table:
    return pa.Table.from_pylist(
        [{"block": rows["block"][0].as_py(), **block.encode()}], schema=BLOCKS
    )


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


def score_cell(
    pieces: Iterator[pa.RecordBatch], k: int, random_seed: int | None = None
) -> Iterator[pa.RecordBatch]:
    """The k best columns of each row of left blocks, one row of LISTS each, among all right blocks.

    Given are PIECES with `is_left`: the right ones first, and those of a block after each other;
    left ones of kind EXCLUDED are pairs that are no candidates. Scores are the blocks' product, or,
    with a `random_seed`, uniform draws that depend on the seed and the blocks' numbers only.
    Products of sparse blocks count only where they are positive: two rows without a common entry
    are no candidates for each other.
    """
    rights: dict[int, Block] = {}
    for (is_left, number), group in groupby(rows_of(pieces), itemgetter("is_left", "block")):
        block, excluded = _assembled(group)
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


def _assembled(pieces: Iterable[dict[str, Any]]) -> tuple[Block | None, topk.Excluded | None]:
    """The block that PIECES of one number make, if they are not only of what it excludes, and
    what that is.
    """
    found = list(pieces)
    own, excluded = (
        [piece for piece in found if (piece["kind"] == EXCLUDED) is wanted]
        for wanted in (False, True)
    )
    if not own:
        return None, None
    block = _stacked(own) if own[0]["kind"] == DENSE else _sparse(own)
    return block, topk.Excluded(block.ids, _sparse(excluded)) if excluded else None


def _sparse(pieces: list[dict[str, Any]]) -> Block:
    entries = Entries.decoded(pieces)
    return entries.block(first=int(entries.rows.min()))


def _stacked(pieces: list[dict[str, Any]]) -> Block:
    ids = np.concatenate([np.frombuffer(piece["rows"], np.int32) for piece in pieces])
    factors = np.concatenate([np.frombuffer(piece["values"], np.float32) for piece in pieces])
    return dense_block(ids, factors.reshape(len(ids), -1))


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


def score_and_rank(
    pieces: Iterator[pa.RecordBatch], k: int, random_seed: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Both at once, where all right blocks are in one cell."""
    return merge_lists(score_cell(pieces, k, random_seed), k)


def ranking_sums(relevant: pa.Table, hits: pa.Table, ks: tuple[int, ...]) -> pa.Table:
    """One model's block of users to one row of SUMS: relevant has model, user and relevant
    (a count), hits user and rank.
    """
    users, order = np.unique(relevant["user"].to_numpy(), return_index=True)
    counts = relevant["relevant"].to_numpy()[order]
    positions = np.searchsorted(users, hits["user"].to_numpy())
    sums = metrics.Sums.of(metrics.per_user(counts, positions, hits["rank"].to_numpy(), ks))
    return pa.table(
        [relevant["model"][:1], [sums.count], [sums.total], [sums.squares]], schema=SUMS
    )


def count_places(pairs: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For each wanted entry of a user block, how many columns of an item block score above it, and
    how many like it.

    A pair has BLOCKS' columns, with WANTED before their names (a sparse block: users, items and
    their scores), with RIGHT, and a model. An entry whose own item is in the item block is
    counted among those that score like it.
    """
    for pair in rows_of(pairs):
        left, right, wanted = decode(pair), decode(pair, RIGHT), decode(pair, WANTED)
        scores = np.sort(product(left, right), axis=1)[np.searchsorted(left.ids, wanted.ids)]
        places = [
            _places(row, own)
            for row, own in zip(scores, np.split(wanted.values, wanted.indptr[1:-1]), strict=True)
        ]
        above, equal = (np.concatenate(counts) for counts in zip(*places, strict=True))
        users = np.repeat(wanted.ids, np.diff(wanted.indptr))
        yield pa.record_batch(
            [[pair["model"]] * len(users), users, wanted.indices, above, equal], schema=PLACES
        )


def _places(
    ascending: Float32, scores: Float32
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """For each of one user's scores (n,), how many of all its scores (m,) are above, and how
    many equal.
    """
    width = _TIE * np.maximum(1, np.abs(scores))
    first, after = (
        np.searchsorted(ascending, scores - width, "left"),
        np.searchsorted(ascending, scores + width, "right"),
    )
    return len(ascending) - after, after - first


def sum_gramians(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Column factors to one row of GRAMIANS per batch."""
    for batch in batches:
        total = als.gramian(matrix_of(batch.column(0), batch.num_rows))
        yield pa.RecordBatch.from_pylist([{"gramian": total.tobytes()}], schema=GRAMIANS)


def sum_targets(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns split and factors, of rows that have some, to a row of TARGETS per batch and
    split.
    """
    for batch in batches:
        for split in batch["split"].unique():
            rows = batch.filter(pc.equal(batch["split"], split))
            sums = metrics.Sums.of(matrix_of(rows["factors"], rows.num_rows).astype(np.float64))
            row = {
                "split": split.as_py(),
                "count": sums.count,
                "total": sums.total,
                "squares": sums.squares,
            }
            yield pa.RecordBatch.from_pylist([row], schema=TARGETS)


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
