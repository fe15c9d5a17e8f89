"""Ratings predicted from neighbours, for pairs of users and items: see cf/neighborhood.

Owners' ratings and targets' neighbours are packed into blocks that meet in the cells of a grid; each pair belongs to one cell.
"""

from functools import partial
from typing import Literal

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import cosine_tasks as tasks
from emberline.cf.entries import PIECES, scatter
from emberline.spark.frames import spark_schema

Side = Literal["user", "item"]
_ENTRIES = 1 << 21  # of a block


def predict(pairs: DataFrame, ratings: DataFrame, neighbors: DataFrame, side: Side, center: Side | None) -> DataFrame:
    """Columns user, item and predicted of those pairs that have an answer.

    neighbors: `side`, neighbor and similarity; `center`: whose means the ratings are compared with.
    """
    owner = "user" if side == "item" else "item"
    means = None if center is None else ratings.groupBy(center).agg(F.avg("value").alias("_mean"))
    known = ratings.withColumn("_mean", F.lit(0.0)) if means is None else ratings.join(means, center)
    wanted = pairs.withColumn("_mean", F.lit(0.0)) if means is None else pairs.join(means, center)
    deviations = _deviations(
        known.select(
            F.col(owner).alias("row"), F.col(side).alias("term"), (F.col("value") - F.col("_mean")).cast("float").alias("value")
        ),
        neighbors.select(F.col(side).alias("row"), F.col("neighbor").alias("term"), "similarity"),
        pairs.select(F.col(owner).alias("row"), F.col(side).alias("term"), F.lit(0.0).cast("float").alias("value")),
    )
    found = deviations.withColumnsRenamed({"row": owner, "term": side})
    predicted = (F.col("_mean") + F.col("deviation")).cast("float").alias("predicted")
    return wanted.join(found, ["user", "item"]).select("user", "item", predicted)


def _deviations(ratings: DataFrame, neighbors: DataFrame, pairs: DataFrame) -> DataFrame:
    """Columns row, term and deviation of the pairs that have one: the rows' ratings of the terms' neighbours."""
    owners, targets = (-(-frame.count() // _ENTRIES) or 1 for frame in (ratings, neighbors))
    every_target, every_owner = F.sequence(F.lit(0), F.lit(targets - 1)), F.sequence(F.lit(0), F.lit(owners - 1))
    pieces = [
        _pieces(ratings, tasks.RATINGS, owners, F.transform(every_target, lambda target: F.col("block") * targets + target)),
        _pieces(pairs, tasks.PAIRS, owners, F.transform(every_target, lambda target: F.col("block") * targets + target)),
        _pieces(neighbors, tasks.NEIGHBORS_OF, targets, F.transform(every_owner, lambda one: one * targets + F.col("block"))),
    ]
    cells = pieces[0].unionByName(pieces[1]).unionByName(pieces[2]).repartitionById(owners * targets, "cell")
    return cells.mapInArrow(partial(tasks.predict, owners=owners, targets=targets), spark_schema(tasks.DEVIATIONS))


def _pieces(entries: DataFrame, kind: str, blocks: int, cells: Column) -> DataFrame:
    """PIECES by row, with their kind, once in each cell that needs them."""
    packed = entries.mapInArrow(partial(scatter, num_blocks=blocks, kind=kind), spark_schema(PIECES))
    return packed.select(F.explode(cells).alias("cell"), *packed.columns)
