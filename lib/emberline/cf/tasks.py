"""What Spark's Python workers run: Arrow tables in, Arrow tables out, the arithmetic in between by NumPy."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf import metrics, topk
from emberline.cf.blocks import BLOCK_FIELDS, Block, Float32, decode, dense_block, product, sparse_block

BLOCKS = pa.schema([("block", pa.int32()), *BLOCK_FIELDS])
CANDIDATES = pa.schema([("block", pa.int32()), ("row", pa.int32()), ("column", pa.int32()), ("score", pa.float32())])
BEST = pa.schema([("row", pa.int32()), ("column", pa.int32()), ("score", pa.float32()), ("rank", pa.int32())])
SUMS = pa.schema(
    [("subject", pa.string()), ("users", pa.int64()), ("totals", pa.list_(pa.float64())), ("squares", pa.list_(pa.float64()))]
)
EXCLUDED = "excluded_"
RIGHT = "right_"


def pack_dense(rows: pa.Table) -> pa.Table:
    """One block of dense rows: columns block, row and factors (lists of one length) to one row of BLOCKS."""
    factors = rows["factors"].combine_chunks()
    ids = rows["row"].to_numpy()
    return _packed(rows, dense_block(ids, factors.flatten().to_numpy().reshape(len(ids), -1)))


def pack_sparse(entries: pa.Table) -> pa.Table:
    """One block of sparse rows: columns block, row, column and value to one row of BLOCKS."""
    return _packed(entries, sparse_block(*(entries[name].to_numpy() for name in ("row", "column", "value"))))


def _packed(rows: pa.Table, block: Block) -> pa.Table:
    return pa.Table.from_pylist([{"block": rows["block"][0].as_py(), **block.encode()}], schema=BLOCKS)


def score_pairs(pairs: Iterator[pa.RecordBatch], k: int, random_seed: int | None = None) -> Iterator[pa.RecordBatch]:
    """The k best columns of each row within each pair of blocks.

    A pair has BLOCKS' columns, again with EXCLUDED before their names (null where nothing is excluded), and with RIGHT.
    Scores are the blocks' product, or, with a `random_seed`, uniform draws that depend on the seed and the blocks' numbers
    only. Products of sparse blocks count only where they are positive: two rows without a common entry are no
    candidates for each other.
    """
    for batch in pairs:
        for pair in batch.to_pylist():  # one row is one pair of blocks, thousands of rows of the matrices
            left, right = decode(pair), decode(pair, RIGHT)
            scores = product(left, right) if random_seed is None else _random(pair, left, right, random_seed)
            if left.is_sparse and random_seed is None:
                scores[scores <= 0] = -np.inf
            if pair[f"{EXCLUDED}ids"] is not None:
                topk.mask(scores, left.ids, right.ids, decode(pair, EXCLUDED))
            rows, columns, best = topk.top_k(scores, k)
            block = np.full(len(rows), pair["block"], np.int32)
            yield pa.record_batch([block, left.ids[rows], right.ids[columns], best], schema=CANDIDATES)


def _random(pair: dict[str, int], left: Block, right: Block, seed: int) -> Float32:
    rng = np.random.default_rng([seed, pair["block"], pair[f"{RIGHT}block"]])
    return rng.random((len(left.ids), len(right.ids)), dtype=np.float32)


def merge_candidates(candidates: pa.Table, k: int) -> pa.Table:
    """The k best of each row of one left block: CANDIDATES to BEST."""
    rows, columns, scores = (candidates[name].to_numpy() for name in ("row", "column", "score"))
    return pa.table(list(topk.merge_top_k(rows, columns, scores, k)), schema=BEST)


def ranking_sums(relevant: pa.Table, hits: pa.Table, ks: tuple[int, ...]) -> pa.Table:
    """One subject's block of users to one row of SUMS: relevant has subject, user and relevant (a count), hits user and rank."""
    users, order = np.unique(relevant["user"].to_numpy(), return_index=True)
    counts = relevant["relevant"].to_numpy()[order]
    positions = np.searchsorted(users, hits["user"].to_numpy())
    sums = metrics.Sums.of(metrics.per_user(counts, positions, hits["rank"].to_numpy(), ks))
    return pa.table([relevant["subject"][:1], [sums.count], [sums.total], [sums.squares]], schema=SUMS)


def dot_products(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user_factors and item_factors, lists of one length, replaced by their dot product `predicted`."""
    for batch in batches:
        left, right = (_matrix(batch[name], batch.num_rows) for name in ("user_factors", "item_factors"))
        predicted = pa.array(np.einsum("ij,ij->i", left, right), pa.float32())
        yield batch.drop_columns(["user_factors", "item_factors"]).append_column("predicted", predicted)


def _matrix(lists: pa.ListArray, rows: int) -> Float32:
    matrix: Float32 = lists.flatten().to_numpy().reshape(rows, -1)
    return matrix
