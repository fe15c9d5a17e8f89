"""Factors of new items by the pictures that are most like theirs."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.spark.scan import Scan
from emberline.spark.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, dense_pieces, top_products

_NEIGHBORS = 10


def neighbor_means(features: DataFrame, column: str, warm: DataFrame) -> DataFrame:
    """Columns item and factors: of each test item, the mean factors of the nearest items in
    training by cosine.
    """
    unit = features.select("item", "split", F.col(column).alias("factors"))
    cold = dense_pieces(Scan(unit.where("split = 'test'")), "item", ROWS_PER_BLOCK)
    known = dense_pieces(Scan(unit.where("split <> 'test'")), "item", COLUMNS_PER_BLOCK)
    nearest = top_products(cold, known, _NEIGHBORS).withColumnsRenamed(
        {"row": "cold", "column": "item"}
    )
    places = nearest.join(warm, "item").select(
        "cold", F.posexplode("factors").alias("place", "value")
    )
    means = places.groupBy("cold", "place").agg(F.avg("value").alias("value"))
    ordered = F.array_sort(F.collect_list(F.struct("place", "value")))
    factors = F.transform(ordered, lambda pair: pair["value"].cast("float"))
    return means.groupBy("cold").agg(factors.alias("factors")).withColumnRenamed("cold", "item")
