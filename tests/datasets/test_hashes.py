"""Hashes of columns, beside the algorithm's published values and Spark's own function."""

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from emberline.datasets import hashes
from emberline.numeric import xxhash

RNG = np.random.default_rng(5)
ALPHABET = list("abcxyz 0189é€😀\n")
TEXTS = ["", *("".join(RNG.choice(ALPHABET, n)) for n in [*range(1, 75), 131, 300])]
TABLE = pa.table(
    {
        "text": pa.array([*TEXTS, None]),
        "int": pa.array([*RNG.integers(-(2**31), 2**31, len(TEXTS)).tolist(), None], pa.int32()),
        "long": pa.array([None, *RNG.integers(-(2**63), 2**63, len(TEXTS)).tolist()], pa.int64()),
        "float": pa.array([-0.0, *RNG.normal(size=len(TEXTS)).tolist()], pa.float32()),
        "bool": pa.array([None, *(RNG.random(len(TEXTS)) < 0.5).tolist()]),
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0xEF46DB3751D8E999),
        ("a", 0xD24EC4F1A98C6E5B),
        ("abc", 0x44BC2CF5AD770999),
        ("Nobody inspects the spammish repetition", 0xFBCEA83C8A378BF1),
    ],
)
def test_the_hash_of_a_text_is_the_published_one(text: str, expected: int) -> None:
    content = np.frombuffer(text.encode(), np.uint8)
    ends = np.array([0, len(content)], np.int32)
    assert xxhash.of_texts(content, ends, np.zeros(1, np.uint64)).tolist() == [expected]


@pytest.mark.parametrize(
    "names", [["text"], ["int"], ["long"], ["float"], ["bool"], TABLE.column_names]
)
def test_hashes_are_those_of_spark(spark: SparkSession, names: list[str]) -> None:
    """Missing values, constants before them, and an array that begins within another."""
    frame = spark.createDataFrame(TABLE).coalesce(1)
    rows = frame.select(F.xxhash64(F.lit(7), F.lit("a purpose"), *names)).collect()
    expected = [row[0] for row in rows]
    columns = [TABLE[name].combine_chunks() for name in names]
    found = hashes.of_columns(7, "a purpose", *columns)
    assert found.view(np.int64).tolist() == expected
    later = hashes.of_columns(7, "a purpose", *(column[3:] for column in columns))
    assert later.view(np.int64).tolist() == expected[3:]


def test_a_share_of_all_is_drawn_and_others_for_another_purpose() -> None:
    ids = pa.array([f"user {n}" for n in range(20_000)])
    first, second = (hashes.is_drawn(0.3, 1, purpose, ids) for purpose in ("one", "two"))
    assert 5_700 < first.sum() < 6_300
    assert 1_600 < (first & second).sum() < 2_000
