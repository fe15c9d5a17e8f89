"""The stage train-cosine: each item's and each user's most similar ones, by the cosine of their
columns and rows of ratings.

What is computed is in cf/cosine/. NumPy packs ratings into blocks of rows, each a few large rows of
Spark's, and blocks of rows are multiplied with blocks of columns. No machine holds the whole
matrix; of vectors as long as a side there is one, in a block of
columns: where the entries of each term begin.
What concerns all ratings of a term (a cap, its mean, its frequency) is done in blocks of terms,
before blocks of rows are made.
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow.compute as pc
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cf.cosine import tasks
from emberline.cf.cosine.similarity import Damping
from emberline.cf.entries import PIECES, scatter
from emberline.errors import DataError
from emberline.logs import event
from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig
from emberline.spark import frames
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

log = logging.getLogger(__name__)

# Ratings per block, 8 bytes each. Columns come in larger ones: a row's product with one block costs
# a visit to each of its terms. Rows do not come in smaller ones than memory asks for: all columns
# travel to every block of them.
RATINGS_PER_ROW_BLOCK, RATINGS_PER_COLUMN_BLOCK = 1 << 23, 1 << 24
_SMALL = 1 << 16  # ratings that are not worth a task of their own
_SAMPLE = 200  # rows, about, whose exact neighbours are found to say what a cap costs


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


def run(run: StageRun, spark: SparkSession) -> None:
    """Write the neighbours of each configured side."""
    ratings = Scan.of(spark, run.inputs["ratings"])
    config = checked(ratings, run.settings)
    for side, other in (("item", "user"), ("user", "item")):
        if f"{side}s" not in config.sides:
            continue
        name = f"{side}_neighbors"
        found = neighbors(ratings, side, other, config)
        left_out = ratings_left_out(ratings.frame, other, config.max_ratings)
        facts: dict[str, Any] = {}
        if left_out:
            found = frames.checkpoint(found, run, name)
            facts = {"ratings_left_out": left_out, **recall(ratings, side, other, config, found)}
            log.info(event("ratings_capped", dataset=name, max_ratings=config.max_ratings, **facts))
            run.metrics[name] = facts
        frames.write(found, run, name, seed=config.seed if left_out else None, **facts)


def checked(ratings: Scan, config: CosineConfig) -> CosineConfig:
    """The settings with the weighting that suits the values.

    Raises DataError for values that no cosine, or no weight, is defined for.
    """
    accounts = ratings.map(("user", "item", "value"), tasks.account, tasks.ACCOUNTS).toArrow()
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


def neighbors(
    ratings: Scan,
    side: str,
    other: str,
    config: CosineConfig,
    grid: Grid | None = None,
    one_in: int = 1,
) -> DataFrame:
    """Columns `side`, neighbor and similarity: up to `top_k` with positive similarity each, none of
    them itself.

    With `one_in` above 1, of about that share of the rows.
    """
    grid = grid or Grid.of(ratings)
    rows = pack(ratings, side, other, config, grid.rows).persist()
    right = columns_of(rows, grid.columns)
    # else Spark may send all blocks to one task
    pairs = rows.crossJoin(right.hint("shuffle_replicate_nl"))
    search = tasks.Search(
        config.top_k, Damping(config.shrinkage, config.min_support), one_in, config.seed
    )
    if grid.columns == 1:
        best = pairs.mapInArrow(
            partial(tasks.match_and_merge, search=search), spark_schema(tasks.NEIGHBORS)
        )
    else:
        candidates = pairs.mapInArrow(
            partial(tasks.match, search=search), spark_schema(tasks.CANDIDATES)
        )
        together = candidates.repartitionById(grid.rows, "block")
        best = together.mapInArrow(
            partial(tasks.merge, top_k=config.top_k), spark_schema(tasks.NEIGHBORS)
        )
    return best.withColumnRenamed("row", side)


def columns_of(rows: DataFrame, blocks: int) -> DataFrame:
    """All rows of BLOCKS as columns, in so many blocks of their own, whose names begin with
    RIGHT.
    """
    grouped = (
        rows.withColumn("group", F.col("block") % blocks)
        .repartitionById(blocks, "group")
        .drop("group")
    )
    columns = grouped.mapInArrow(tasks.as_columns, spark_schema(tasks.BLOCKS)).persist()
    return columns.select([F.col(name).alias(tasks.RIGHT + name) for name in columns.columns])


def pack(ratings: Scan, side: str, other: str, config: CosineConfig, blocks: int) -> DataFrame:
    """BLOCKS of the rows of `side`, weighted, in so many partitions, a block in each."""
    config = config.weighted()
    is_weighted = config.weighting != "none"
    sums = F.sum("value"), F.countDistinct(side)
    total, num_rows = ratings.frame.agg(*sums).first() or (0, 0) if is_weighted else (0, 0)
    terms = tasks.Terms(config.center == other, config.max_ratings, num_rows or None, config.seed)
    rows = tasks.Rows(config.center == side, config.weighting, (total or 1) / (num_rows or 1))
    by = "columns" if terms.is_needed else "rows"
    pieces = ratings.map((side, other, "value"), partial(scatter, num_blocks=blocks, by=by), PIECES)
    if terms.is_needed:
        prepare = partial(tasks.prepare_terms, blocks=blocks, terms=terms, row_blocks=blocks)
        pieces = pieces.repartitionById(blocks, "block").mapInArrow(prepare, spark_schema(PIECES))
    together = pieces.repartitionById(blocks, "block")
    return together.mapInArrow(
        partial(tasks.prepare_rows, blocks=blocks, rows=rows), spark_schema(tasks.BLOCKS)
    )


def ratings_left_out(ratings: DataFrame, term: str, limit: int | None) -> int:
    """How many ratings a cap leaves out."""
    if limit is None:
        return 0
    more = (
        ratings.groupBy(term)
        .agg((F.count("*") - limit).alias("more"))
        .where("more > 0")
        .agg(F.sum("more"))
        .first()
    )
    return int(more[0] or 0) if more else 0


def recall(
    ratings: Scan, side: str, other: str, config: CosineConfig, found: DataFrame
) -> dict[str, Any]:
    """What share of the exact neighbours of some rows, chosen by hash, is among those found
    under the cap.
    """
    one_in = -(-ratings.frame.select(side).distinct().count() // _SAMPLE)
    exact = neighbors(
        ratings, side, other, config.model_copy(update={"max_ratings": None}), one_in=one_in
    )
    both = exact.join(
        found.select(side, "neighbor", F.lit(1).alias("_found")), [side, "neighbor"], "left"
    )
    wanted, hits, rows = both.agg(
        F.count("*"), F.count("_found"), F.countDistinct(side)
    ).first() or (0, 0, 0)
    return {"recall": hits / wanted if wanted else None, "recall_rows": rows}
