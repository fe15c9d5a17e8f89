"""The draws of datasets/hashes, of columns in Spark."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from emberline.datasets.hashes import BUCKETS


def hash_of(seed: int, purpose: str, *columns: str) -> Column:
    """64 bits; draws for different purposes have nothing to do with each other."""
    return F.xxhash64(F.lit(seed), F.lit(purpose), *columns)


def is_drawn(share: float, seed: int, purpose: str, *columns: str) -> Column:
    """Whether a row is of that share of all."""
    bucket = F.pmod(hash_of(seed, purpose, *columns), F.lit(BUCKETS))
    return bucket < round(share * BUCKETS)
