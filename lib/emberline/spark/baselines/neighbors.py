"""Factors of new items by the pictures that are most like theirs."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.scoring.topk import (
    COLUMNS_PER_BLOCK,
    ROWS_PER_BLOCK,
    dense_pieces,
    top_products,
)
from emberline.spark.flow import SparkSource, frame_of
from emberline.spark.scan import Scan

_NEIGHBORS = 10


def neighbor_means(features: DataFrame, column: str, warm: DataFrame) -> DataFrame:
    """Columns item and factors: of each test item, the mean factors of the nearest items in
    training by cosine.
    """
    unit = features.select("item", "split", F.col(column).alias("factors"))
    tested, known = (
        SparkSource(Scan(unit.where(which))) for which in ("split = 'test'", "split <> 'test'")
    )
    left = dense_pieces(tested, "item", ROWS_PER_BLOCK)
    best = top_products(left, dense_pieces(known, "item", COLUMNS_PER_BLOCK), _NEIGHBORS)
    nearest = frame_of(best).withColumnsRenamed({"row": "cold", "column": "item"})
    places = nearest.join(warm, "item").select(
        "cold", F.posexplode("factors").alias("place", "value")
    )
    means = places.groupBy("cold", "place").agg(F.avg("value").alias("value"))
    ordered = F.array_sort(F.collect_list(F.struct("place", "value")))
    factors = F.transform(ordered, lambda pair: pair["value"].cast("float"))
    return means.groupBy("cold").agg(factors.alias("factors")).withColumnRenamed("cold", "item")
