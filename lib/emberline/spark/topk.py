"""Top-k of a product of two matrices too large for one machine: blocks of rows against blocks of columns.

The same product serves recommendations (users' factors or histories against items) and cosine neighbours (rows against rows).
Blocks are cut by dense index, never by partition, so that the result does not depend on the number of partitions.
"""

from functools import partial

import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import tasks
from emberline.spark.frames import spark_schema

ROWS_PER_BLOCK = 1024
COLUMNS_PER_BLOCK = 4096


def dense_blocks(factors: DataFrame, id_column: str, block_size: int) -> DataFrame:
    """Blocks of rows (id, factors)."""
    rows = factors.select(block_of(id_column, block_size), F.col(id_column).alias("row"), "factors")
    return rows.groupBy("block").applyInArrow(tasks.pack_dense, spark_schema(tasks.BLOCKS))


def sparse_blocks(entries: DataFrame, row: str, column: str, value: str | None, block_size: int) -> DataFrame:
    """Blocks of a sparse matrix given by its entries; without a `value`, of its places only."""
    values = F.lit(0.0).cast("float") if value is None else F.col(value)
    renamed = entries.select(
        block_of(row, block_size), F.col(row).alias("row"), F.col(column).alias("column"), values.alias("value")
    )
    return renamed.groupBy("block").applyInArrow(tasks.pack_sparse, spark_schema(tasks.BLOCKS))


def block_of(column: str, block_size: int) -> Column:
    """The number of the block that a dense index is in."""
    return F.floor(F.col(column) / block_size).cast("int").alias("block")


def top_products(left: DataFrame, excluded: DataFrame, right: DataFrame, k: int, random_seed: int | None = None) -> DataFrame:
    """Columns row, column, score and rank: the k largest of each row of `left @ right.T`, pairs in `excluded` left out.

    left, right: blocks, both dense or both sparse; excluded: sparse blocks cut like `left`. Ties go to the smaller column. With a
    `random_seed` the scores are drawn instead.
    """
    rows = left.join(_prefixed(excluded, tasks.EXCLUDED).withColumnRenamed(f"{tasks.EXCLUDED}block", "block"), "block", "left")
    pairs = rows.crossJoin(_prefixed(right, tasks.RIGHT).persist())
    candidates = pairs.mapInArrow(partial(tasks.score_pairs, k=k, random_seed=random_seed), spark_schema(tasks.CANDIDATES))

    def merge(table: pa.Table) -> pa.Table:  # a partial hides the type hints that applyInArrow needs
        return tasks.merge_candidates(table, k)

    return candidates.groupBy("block").applyInArrow(merge, spark_schema(tasks.BEST))


def _prefixed(blocks: DataFrame, prefix: str) -> DataFrame:
    return blocks.select([F.col(name).alias(prefix + name) for name in blocks.columns])
