"""Ratings predicted from neighbours, for pairs of users and items: see cf/cosine/.

What ratings deviate from their biases by is packed into the blocks that train-cosine makes. Each
block of targets' rows takes the pairs that want them, and meets every block of the others' columns,
in which both the similarities and the owners' ratings are.
"""

from functools import partial
from typing import Literal

from pyspark.sql import DataFrame

from emberline.cf.cosine import prediction
from emberline.cf.cosine.neighborhood import Rule
from emberline.cf.cosine.similarity import Damping
from emberline.cf.entries import PIECES, scatter
from emberline.neighbors.packing import Grid, columns_of, pack
from emberline.sections.cosine import CosineConfig, NeighborRatingsConfig
from emberline.spark.flow import SparkRows, SparkSource, frame_of
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan

Side = Literal["user", "item"]


def deviations(
    pairs: DataFrame,
    residuals: DataFrame,
    side: Side,
    config: CosineConfig,
    grid: Grid | None = None,
) -> DataFrame:
    """Columns user, item and deviation of those pairs that have an answer, from the nearest items,
    or users, as `side` says.

    residuals: user, item and value, of all known ratings, less their biases.
    """
    owner: Side = "user" if side == "item" else "item"
    rule = _rule(config.ratings)
    known = SparkSource(Scan(residuals))
    cores = residuals.sparkSession.sparkContext.defaultParallelism
    grid = grid or Grid.of(known.count(), cores)
    plain = config.model_copy(update={"weighting": "none", "center": "none"})
    rows = pack(known, side, owner, plain, grid.rows).kept()
    right = columns_of(rows, grid.columns)
    wanting = frame_of(rows).join(_wanted(pairs, side, owner, grid.rows), "block")
    cells = SparkRows(wanting).beside(SparkRows(frame_of(right))).frame
    if grid.columns == 1:
        found = cells.mapInArrow(
            partial(prediction.look_up_and_predict, rule=rule), spark_schema(prediction.DEVIATIONS)
        )
    else:
        rated = cells.mapInArrow(
            partial(prediction.look_up, rule=rule), spark_schema(prediction.RATED)
        )
        together = rated.repartitionById(grid.rows, "block").sortWithinPartitions("block", "start")
        found = together.mapInArrow(
            partial(prediction.predict, rule=rule), spark_schema(prediction.DEVIATIONS)
        )
    return found.withColumnsRenamed({"target": side, "owner": owner})


def _rule(config: NeighborRatingsConfig) -> Rule:
    return Rule(config.top_k, Damping(config.shrinkage, config.min_support), config.prior)


def _wanted(pairs: DataFrame, side: Side, owner: Side, blocks: int) -> DataFrame:
    """PAIRS: a row for each block of targets that any pair has."""
    pieces = pairs.select(side, owner).mapInArrow(
        partial(scatter, num_blocks=blocks), spark_schema(PIECES)
    )
    return pieces.repartitionById(blocks, "block").mapInArrow(
        prediction.gather, spark_schema(prediction.PAIRS)
    )
