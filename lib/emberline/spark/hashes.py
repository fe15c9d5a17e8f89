"""Hashes of columns: draws that depend on a seed and outside ids alone, and so stay as they are
when rows arrive.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

BUCKETS = 1_000_000  # shares are counted in


def hash_of(seed: int, purpose: str, *columns: str) -> Column:
    """64 bits; draws for different purposes have nothing to do with each other."""
    return F.xxhash64(F.lit(seed), F.lit(purpose), *columns)


def bucket_of(seed: int, purpose: str, *columns: str) -> Column:
    """One of BUCKETS, from 0."""
    return F.pmod(hash_of(seed, purpose, *columns), F.lit(BUCKETS))


def is_drawn(share: float, seed: int, purpose: str, *columns: str) -> Column:
    """Whether a row is of that share of all."""
    return bucket_of(seed, purpose, *columns) < round(share * BUCKETS)
