"""Ratings in blocks of rows and of columns, for cosine neighbours and what is predicted by them."""

from dataclasses import dataclass
from functools import partial

import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.cf.cosine import compressed, packing
from emberline.cf.entries import PIECES, scatter
from emberline.errors import DataError
from emberline.sections.cosine import CosineConfig
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

# Ratings per block, 8 bytes each. Columns come in larger ones: a row's product with one block costs
# a visit to each of its terms. Rows do not come in smaller ones than memory asks for: all columns
# travel to every block of them.
RATINGS_PER_ROW_BLOCK, RATINGS_PER_COLUMN_BLOCK = 1 << 23, 1 << 24
_SMALL = 1 << 16  # ratings that are not worth a task of their own


@dataclass(frozen=True)
class Grid:
    """How many blocks of rows are multiplied with how many blocks of columns; the result does
    not depend on it.
    """

    rows: int
    columns: int

    @classmethod
    def of(cls, ratings: Scan) -> "Grid":
        """Blocks of a bearable size, and of rows enough for all cores."""
        count = ratings.count()
        cores = ratings.frame.sparkSession.sparkContext.defaultParallelism
        rounds = max(1, -(-count // (RATINGS_PER_ROW_BLOCK * cores)))
        rows = max(min(rounds * cores, -(-count // _SMALL)), 1)
        return cls(rows, -(-count // RATINGS_PER_COLUMN_BLOCK) or 1)


def checked(ratings: Scan, config: CosineConfig) -> CosineConfig:
    """The settings with the weighting that suits the values.

    Raises DataError for values that no cosine, or no weight, is defined for.
    """
    accounts = ratings.map(("user", "item", "value"), packing.account, packing.ACCOUNTS).toArrow()
    wrong, negative = (pc.sum(accounts[name]).as_py() or 0 for name in ("not_finite", "negative"))
    if wrong:
        raise DataError(
            f"ratings: {wrong:,} values are not finite numbers; rerun prepare-ratings, which"
            " rejects them"
        )
    if negative and config.weighting not in ("auto", "none"):
        raise DataError(
            f"ratings: {negative:,} values are below 0, which cosine.weighting ="
            f' "{config.weighting}" is not made for: reject them by ratings.min_value, or use'
            ' weighting = "none"'
        )
    return config.weighted(has_negative=negative > 0)


def columns_of(rows: DataFrame, blocks: int) -> DataFrame:
    """All rows of COMPRESSED as columns, in so many blocks of their own, whose names begin with
    RIGHT.
    """
    grouped = (
        rows.withColumn("group", F.col("block") % blocks)
        .repartitionById(blocks, "group")
        .drop("group")
    )
    columns = grouped.mapInArrow(packing.as_columns, spark_schema(compressed.COMPRESSED)).persist()
    return columns.select([F.col(name).alias(compressed.RIGHT + name) for name in columns.columns])


def pack(ratings: Scan, side: str, other: str, config: CosineConfig, blocks: int) -> DataFrame:
    """COMPRESSED of the rows of `side`, weighted, in so many partitions, a block in each."""
    config = config.weighted()
    is_weighted = config.weighting != "none"
    sums = F.sum("value"), F.countDistinct(side)
    total, num_rows = ratings.frame.agg(*sums).first() or (0, 0) if is_weighted else (0, 0)
    terms = packing.Terms(config.center == other, config.max_ratings, num_rows or None, config.seed)
    rows = packing.Rows(config.center == side, config.weighting, (total or 1) / (num_rows or 1))
    by = "columns" if terms.is_needed else "rows"
    pieces = ratings.map((side, other, "value"), partial(scatter, num_blocks=blocks, by=by), PIECES)
    if terms.is_needed:
        prepare = partial(packing.prepare_terms, blocks=blocks, terms=terms, row_blocks=blocks)
        pieces = pieces.repartitionById(blocks, "block").mapInArrow(prepare, spark_schema(PIECES))
    together = pieces.repartitionById(blocks, "block")
    return together.mapInArrow(
        partial(packing.prepare_rows, blocks=blocks, rows=rows), spark_schema(compressed.COMPRESSED)
    )
