"""Sketches of a log of events, made by Spark."""

from pyspark.sql import SparkSession

from emberline.datasets.sketch import Sketch
from emberline.spark.sketches import sketch


def of(
    spark: SparkSession, first: int, last: int, value: float = 1.0, partitions: int = 2
) -> Sketch:
    """Of two thousand pairs per hundred."""
    rows = [(f"u{n % 97}", f"i{n}", value) for n in range(20 * first, 20 * last)]
    frame = spark.createDataFrame(rows, "user_id string, item_id string, value double").repartition(
        partitions
    )
    return sketch(frame, ("user_id", "item_id"), "value")


def test_a_sketch_tells_the_same_from_more_and_from_other_data(spark: SparkSession) -> None:
    night = of(spark, 0, 100)
    assert of(spark, 0, 100, partitions=5) == night
    assert night.rows == 2000
    next_night, in_a_year, elsewhere = of(spark, 0, 103), of(spark, 0, 400), of(spark, 1000, 1100)
    assert next_night.hash != night.hash
    assert night.shared_with(next_night) > 0.9
    assert night.shared_with(in_a_year) > 0.6
    assert night.shared_with(elsewhere) == 0


def test_other_values_are_other_data_of_the_same_pairs(spark: SparkSession) -> None:
    stars, ones = of(spark, 0, 50, value=4.0), of(spark, 0, 50)
    assert stars.hash != ones.hash and stars.marks == ones.marks
