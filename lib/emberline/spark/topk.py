"""Top-k of a product of two matrices too large for one machine: blocks of rows against blocks of
columns.

The same product serves recommendations (users' factors or histories against items) and the nearest
pictures (features against features). Blocks are cut by dense index, never by partition, so that the
result does not depend on the number of partitions.
"""

from functools import partial, reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import scoring
from emberline.cf.entries import PIECES
from emberline.cf.pieces import SPARSE, scatter_dense, scatter_sparse
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

ROWS_PER_BLOCK = 2048
COLUMNS_PER_BLOCK = 4096
BYTES_PER_GROUP = 64 << 20  # of right blocks, which a worker keeps


def dense_pieces(factors: Scan, id_column: str, block_size: int) -> DataFrame:
    """PIECES of rows (id, factors), to be assembled to blocks of so many ids."""
    return factors.map(
        (id_column, "factors"), partial(scatter_dense, block_size=block_size), PIECES
    )


def sparse_pieces(
    entries: Scan,
    row: str,
    column: str,
    value: str | None,
    block_size: int,
    kind: str = SPARSE,
    damped: bool = False,
) -> DataFrame:
    """PIECES of a sparse matrix given by its entries; without a `value`, of its places only; if
    `damped`, of log(1 + value).
    """
    columns = (row, column) if value is None else (row, column, value)
    return entries.map(
        columns,
        partial(scatter_sparse, block_size=block_size, kind=kind, damped=damped),
        PIECES,
    )


def block_of(column: str, block_size: int) -> Column:
    """The number of the block that a dense index is in."""
    return F.floor(F.col(column) / block_size).cast("int").alias("block")


def top_products(
    left: DataFrame, right: DataFrame, k: int, random_seed: int | None = None
) -> DataFrame:
    """Columns row, column, score and rank: the k largest of each row of `left @ right.T`, but for
    the pairs that are excluded.

    left: PIECES by ROWS_PER_BLOCK, dense or sparse, those of kind EXCLUDED among them; right: the
    same by COLUMNS_PER_BLOCK. Ties go to the smaller column. With a `random_seed` the scores are
    drawn instead.

    Blocks meet in the cells of a grid, in each of which a worker keeps a group of right blocks, and
    left blocks pass them.
    """
    kept = right.persist()
    groups = -(-_bytes(kept) // BYTES_PER_GROUP) or 1
    partitions = int(left.sparkSession.conf.get("spark.sql.shuffle.partitions") or 1)
    every_group, every_partition = (
        F.sequence(F.lit(0), F.lit(groups - 1)),
        F.sequence(F.lit(0), F.lit(partitions - 1)),
    )
    rows = F.transform(every_group, lambda group: F.col("block") % partitions * groups + group)
    columns = F.transform(
        every_partition, lambda partition: partition * groups + F.col("block") % groups
    )
    pieces = _placed(left, rows, is_left=True).unionByName(_placed(kept, columns, is_left=False))
    cells = pieces.repartitionById(partitions * groups, "cell").sortWithinPartitions(
        "is_left", "block"
    )
    if groups == 1:
        return cells.mapInArrow(
            partial(scoring.score_and_rank, k=k, random_seed=random_seed),
            spark_schema(scoring.BEST),
        )
    lists = cells.mapInArrow(
        partial(scoring.score_cell, k=k, random_seed=random_seed), spark_schema(scoring.LISTS)
    )
    together = lists.repartition("block").sortWithinPartitions("block")
    return together.mapInArrow(partial(scoring.merge_lists, k=k), spark_schema(scoring.BEST))


def _bytes(pieces: DataFrame) -> int:
    lengths = [F.coalesce(F.length(name), F.lit(0)) for name in ("rows", "columns", "values")]
    (total,) = pieces.agg(F.sum(reduce(Column.__add__, lengths))).first() or (None,)
    return total or 0


def _placed(pieces: DataFrame, cells: Column, is_left: bool) -> DataFrame:
    """The pieces, once in each of their cells."""
    return pieces.select(
        F.explode(cells).alias("cell"), F.lit(is_left).alias("is_left"), *pieces.columns
    )
