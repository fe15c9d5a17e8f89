"""PIECES of two matrices whose product is every user's score of every item."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.spark.scan import Scan
from emberline.spark.topk import COLUMNS_PER_BLOCK, ROWS_PER_BLOCK, dense_pieces


def user_pieces(factors: Scan) -> DataFrame:
    """PIECES of rows (user, factors)."""
    return dense_pieces(factors, "user", ROWS_PER_BLOCK)


def item_pieces(factors: Scan) -> DataFrame:
    """PIECES of rows (item, factors)."""
    return dense_pieces(factors, "item", COLUMNS_PER_BLOCK)


def constant_pieces(users: DataFrame) -> DataFrame:
    """PIECES of users with the one factor 1, so that every user's scores are the items' own."""
    return user_pieces(
        Scan(users.select("user", F.array(F.lit(1.0).cast("float")).alias("factors")))
    )


def popularity_pieces(items: DataFrame) -> DataFrame:
    """PIECES of items whose one factor is their popularity."""
    return item_pieces(Scan(items.select("item", F.array("popularity").alias("factors"))))


def popularity(ratings: DataFrame) -> DataFrame:
    """Columns item and popularity: its number of ratings."""
    return ratings.groupBy("item").agg(F.count("*").cast("float").alias("popularity"))
