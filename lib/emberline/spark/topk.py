"""Top-k of a product of two matrices too large for one machine: blocks of rows against blocks of columns.

The same product serves recommendations (users' factors or histories against items) and cosine neighbours (rows against rows).
Blocks are cut by dense index, never by partition, so that the result does not depend on the number of partitions.
"""

from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import tasks
from emberline.spark import frames
from emberline.spark.frames import spark_schema

ROWS_PER_BLOCK = 2048
COLUMNS_PER_BLOCK = 4096
BLOCKS_PER_PARTITION = 64
_ROW_OF_PARTITION = (1 << 33) - 1  # the lower bits of monotonically_increasing_id


def dense_blocks(factors: DataFrame, id_column: str, block_size: int) -> DataFrame:
    """Blocks of rows (id, factors)."""
    rows = factors.select(block_of(id_column, block_size), F.col(id_column).alias("row"), "factors")
    return rows.groupBy("block").applyInArrow(tasks.pack_dense, spark_schema(tasks.BLOCKS))


def sparse_blocks(entries: DataFrame, row: str, column: str, value: str | None, block_size: int) -> DataFrame:
    """Blocks of a sparse matrix given by its entries; without a `value`, of its places only."""
    place = F.shiftleft(F.col(row).cast("long"), 32).bitwiseOR(F.col(column).cast("long"))  # one column travels faster than two
    placed = entries.select(place, *([] if value is None else [value]))
    pieces = placed.mapInArrow(partial(tasks.pack_pieces, block_size=block_size), spark_schema(tasks.BLOCKS))
    blocks = pieces.groupBy("block").applyInArrow(tasks.merge_pieces, spark_schema(tasks.BLOCKS))
    with frames.large_batches(entries.sparkSession):
        return blocks.persist()


def block_of(column: str, block_size: int) -> Column:
    """The number of the block that a dense index is in."""
    return F.floor(F.col(column) / block_size).cast("int").alias("block")


def top_products(left: DataFrame, excluded: DataFrame, right: DataFrame, k: int, random_seed: int | None = None) -> DataFrame:
    """Columns row, column, score and rank: the k largest of each row of `left @ right.T`, pairs in `excluded` left out.

    left, right: blocks, both dense or both sparse; excluded: sparse blocks cut like `left`. Ties go to the smaller column. With a
    `random_seed` the scores are drawn instead.
    """
    rows = left.join(_prefixed(excluded, tasks.EXCLUDED).withColumnRenamed(f"{tasks.EXCLUDED}block", "block"), "block", "left")
    pairs = _streamed(rows, _prefixed(right, tasks.RIGHT))
    lists = pairs.mapInArrow(partial(tasks.score_pairs, k=k, random_seed=random_seed), spark_schema(tasks.LISTS))

    def merge(table: pa.Table) -> pa.Table:  # a partial hides the type hints that applyInArrow needs
        return tasks.merge_lists(table, k)

    return lists.groupBy("block").applyInArrow(merge, spark_schema(tasks.BEST))


def _streamed(left: DataFrame, right: DataFrame) -> DataFrame:
    """Every pair of a left and a right row; a task has each of its left rows whole once, with the first of its right rows.

    The hint asks for the one join that keeps the right side out of the driver, and goes through it for one left row after the
    other. Left rows then cost next to nothing on their way to Python, where the worker keeps them.
    """
    is_first = F.monotonically_increasing_id().bitwiseAND(_ROW_OF_PARTITION) == 0
    kept = right.persist()
    few = kept.coalesce(-(-kept.count() // BLOCKS_PER_PARTITION) or 1)
    pairs = left.hint("shuffle_replicate_nl").crossJoin(few.withColumn("is_first", is_first))
    columns = [F.col(name) if name == "block" else F.when(F.col("is_first"), F.col(name)).alias(name) for name in left.columns]
    return pairs.select(*columns, *right.columns)


def _prefixed(blocks: DataFrame, prefix: str) -> DataFrame:
    return blocks.select([F.col(name).alias(prefix + name) for name in blocks.columns])
