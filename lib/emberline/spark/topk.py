"""Top-k of a product of two matrices too large for one machine: blocks of rows against blocks of columns.

The same product serves recommendations (users' factors or histories against items) and cosine neighbours (rows against rows).
Blocks are cut by dense index, never by partition, so that the result does not depend on the number of partitions.
"""

from functools import partial

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import tasks
from emberline.cf.entries import PIECES
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

ROWS_PER_BLOCK = 2048
COLUMNS_PER_BLOCK = 4096
BLOCKS_PER_PARTITION = 64
_ROW_OF_PARTITION = (1 << 33) - 1  # the lower bits of monotonically_increasing_id


def dense_pieces(factors: Scan, id_column: str, block_size: int) -> DataFrame:
    """PIECES of rows (id, factors), to be assembled to blocks of so many ids."""
    return factors.map((id_column, "factors"), partial(tasks.scatter_dense, block_size=block_size), PIECES)


def sparse_pieces(
    entries: Scan, row: str, column: str, value: str | None, block_size: int, kind: str = tasks.SPARSE
) -> DataFrame:
    """PIECES of a sparse matrix given by its entries; without a `value`, of its places only."""
    columns = (row, column) if value is None else (row, column, value)
    return entries.map(columns, partial(tasks.scatter_sparse, block_size=block_size, kind=kind), PIECES)


def blocks(pieces: DataFrame, block_size: int) -> DataFrame:
    """BLOCKS of what was cut into PIECES of so many ids; with EXCLUDED before their names, what pieces of that kind hold."""
    number = int(pieces.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    placed = pieces.withColumn("partition", F.col("block") % number).repartitionById(number, "partition").drop("partition")
    return placed.mapInArrow(partial(tasks.assemble, block_size=block_size), spark_schema(tasks.ASSEMBLED))


def block_of(column: str, block_size: int) -> Column:
    """The number of the block that a dense index is in."""
    return F.floor(F.col(column) / block_size).cast("int").alias("block")


def top_products(left: DataFrame, right: DataFrame, k: int, random_seed: int | None = None) -> DataFrame:
    """Columns row, column, score and rank: the k largest of each row of `left @ right.T`, but for the pairs that are excluded.

    left: PIECES by ROWS_PER_BLOCK, dense or sparse, those of kind EXCLUDED among them; right: the same by COLUMNS_PER_BLOCK. Ties
    go to the smaller column. With a `random_seed` the scores are drawn instead.
    """
    columns = blocks(right, COLUMNS_PER_BLOCK).select(*[F.col(name).alias(tasks.RIGHT + name) for name in tasks.BLOCKS.names])
    kept = columns.persist()
    partitions = -(-kept.count() // BLOCKS_PER_PARTITION) or 1
    rows = blocks(left, ROWS_PER_BLOCK)
    pairs = _streamed(rows if partitions == 1 else rows.persist(), kept.coalesce(partitions))
    if partitions == 1:
        task = partial(tasks.score_and_rank, k=k, random_seed=random_seed)
        return pairs.mapInArrow(task, spark_schema(tasks.BEST))
    lists = pairs.mapInArrow(partial(tasks.score_pairs, k=k, random_seed=random_seed), spark_schema(tasks.LISTS))
    together = lists.repartition("block").sortWithinPartitions("block")
    return together.mapInArrow(partial(tasks.merge_lists, k=k), spark_schema(tasks.BEST))


def _streamed(left: DataFrame, right: DataFrame) -> DataFrame:
    """Every pair of a left and a right row; a task has each of its left rows whole once, with the first of its right rows.

    The hint asks for the one join that keeps the right side out of the driver, and goes through it for one left row after the
    other. Left rows then cost next to nothing on their way to Python, where the worker keeps them.
    """
    is_first = F.monotonically_increasing_id().bitwiseAND(_ROW_OF_PARTITION) == 0
    pairs = left.hint("shuffle_replicate_nl").crossJoin(right.withColumn("is_first", is_first))
    columns = [F.col(name) if name == "block" else F.when(F.col("is_first"), F.col(name)).alias(name) for name in left.columns]
    return pairs.select(*columns, *right.columns)
