"""PIECES of popular items and of users who all have the same taste, from DataFrames."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.flow.rows import Rows
from emberline.scoring.topk import item_pieces, user_pieces
from emberline.spark.flow import SparkSource
from emberline.spark.scan import Scan


def constant_pieces(users: DataFrame) -> Rows:
    """PIECES of users with the one factor 1, so that every user's scores are the items' own."""
    factors = F.array(F.lit(1.0).cast("float")).alias("factors")
    return user_pieces(SparkSource(Scan(users.select("user", factors))))


def popularity_pieces(items: DataFrame) -> Rows:
    """PIECES of items whose one factor is their popularity."""
    factors = items.select("item", F.array("popularity").alias("factors"))
    return item_pieces(SparkSource(Scan(factors)))


def popularity(ratings: DataFrame) -> DataFrame:
    """Columns item and popularity: its number of ratings."""
    return ratings.groupBy("item").agg(F.count("*").cast("float").alias("popularity"))
