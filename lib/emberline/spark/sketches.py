"""Sketches of data in Spark: see datasets/sketch."""

from functools import reduce
from operator import xor

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.datasets.sketch import BINS, Sketch


def sketch(rows: DataFrame, key: tuple[str, ...], *values: str) -> Sketch:
    """Of rows known by their key, all of them and their values together."""
    place = F.xxhash64(F.lit("place"), *key)
    mark = F.pmod(F.xxhash64(F.lit("mark"), *key), F.lit(1 << 16))
    whole = F.xxhash64(F.lit("row"), *key, *values)
    bins = rows.select(
        F.pmod(place, F.lit(BINS)).alias("bin"),
        place.alias("place"),
        mark.alias("mark"),
        whole.alias("row"),
    )
    counts = (
        F.count("*").alias("rows"),
        F.bit_xor("row").alias("digest"),
        F.min_by("mark", "place").alias("mark"),
    )
    found = bins.groupBy("bin").agg(*counts).collect()
    digest = reduce(xor, (row["digest"] for row in found), 0)
    return Sketch.of(
        sum(row["rows"] for row in found), digest, {row["bin"]: row["mark"] for row in found}
    )
