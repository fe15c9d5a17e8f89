"""Top-k of products of partitioned matrices, beside NumPy's product of the same matrices on one
machine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.cf.pieces import EXCLUDED as EXCLUDED_KIND
from emberline.spark import topk
from emberline.spark.scan import Scan
from emberline.spark.topk import (
    COLUMNS_PER_BLOCK,
    ROWS_PER_BLOCK,
    dense_pieces,
    sparse_pieces,
    top_products,
)

Best = dict[tuple[int, int], tuple[Any, int]]  # score and rank
Pairs = set[tuple[int, int]]
ShufflingInto = Callable[[int], AbstractContextManager[None]]

K = 4
RANK = 3
# Four blocks of rows and three of columns, with gaps within and between them.
ROWS = [0, 3, 4, 2046, 2047, 2048, 2049, 5000, 5001, 7000]
COLUMNS = [1, 2, 7, 300, 4095, 4096, 4097, 6000, 20_000, 20_001]


def matrix_of(ids: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(ids), RANK)).astype(np.float32)


def thinned(ids: list[int], seed: int, width: int) -> np.ndarray:
    """Random rows of whole numbers, mostly zeros."""
    rng = np.random.default_rng(seed)
    return rng.integers(-2, 4, (len(ids), width)) * (rng.random((len(ids), width)) < 0.4)


# Whole numbers have many equal products.
DENSE = matrix_of(ROWS, 1), matrix_of(COLUMNS, 2)
SPARSE = thinned(ROWS, 3, width=6), thinned(COLUMNS, 4, width=6)
# Nothing is excluded in the last block of rows, and everything for row 5001.
EXCLUDED = {
    (0, 1),
    (0, 4096),
    (2047, 2),
    (2048, 2),
    (2048, 5),
    (4, 20_000),
    *((5001, column) for column in COLUMNS),
}


def factors(spark: SparkSession, ids: list[int], matrix: np.ndarray) -> DataFrame:
    table = pa.table(
        [pa.array(ids, pa.int32()), pa.array(list(matrix), pa.list_(pa.float32()))],
        names=["id", "factors"],
    )
    return spark.createDataFrame(table)


def entries(
    spark: SparkSession, places: list[tuple[int, int]], values: list[float] | None = None
) -> DataFrame:
    row, column = (pa.array([place[side] for place in places], pa.int32()) for side in (0, 1))
    value = pa.array(values or [0.0] * len(places), pa.float32())
    return spark.createDataFrame(pa.table([row, column, value], names=["row", "column", "value"]))


def nonzero(spark: SparkSession, ids: list[int], matrix: np.ndarray) -> DataFrame:
    rows, columns = np.nonzero(matrix)
    places = [(ids[row], int(column)) for row, column in zip(rows, columns, strict=True)]
    return entries(spark, places, [float(value) for value in matrix[rows, columns]])


def sorted_best(scores: np.ndarray, k: int, excluded: Pairs, above: float = -np.inf) -> Best:
    """Score and rank of the k best columns of each row, by sorting the whole product."""
    best: Best = {}
    for row, values in zip(ROWS, scores.tolist(), strict=True):
        candidates = sorted(
            (-value, column) for column, value in zip(COLUMNS, values, strict=True) if value > above
        )
        kept = [(value, column) for value, column in candidates if (row, column) not in excluded][
            :k
        ]
        best |= {
            (row, column): (pytest.approx(-value, abs=1e-5), rank)
            for rank, (value, column) in enumerate(kept, 1)
        }
    return best


def products_of(spark: SparkSession, partitions: int) -> dict[str, DataFrame]:
    """What is tested, by its name, all inputs cut into so many partitions."""

    def cut(frame: DataFrame) -> Scan:
        return Scan(frame.repartition(partitions))

    left, right = (
        dense_pieces(cut(factors(spark, ids, matrix)), "id", size)
        for ids, matrix, size in (
            (ROWS, DENSE[0], ROWS_PER_BLOCK),
            (COLUMNS, DENSE[1], COLUMNS_PER_BLOCK),
        )
    )
    sparse_left, sparse_right = (
        sparse_pieces(cut(nonzero(spark, ids, matrix)), "row", "column", "value", size)
        for ids, matrix, size in (
            (ROWS, SPARSE[0], ROWS_PER_BLOCK),
            (COLUMNS, SPARSE[1], COLUMNS_PER_BLOCK),
        )
    )
    excluded = sparse_pieces(
        cut(entries(spark, sorted(EXCLUDED))), "row", "column", None, ROWS_PER_BLOCK, EXCLUDED_KIND
    )
    return {
        "dense": top_products(left.unionByName(excluded), right, K),
        "sparse": top_products(sparse_left.unionByName(excluded), sparse_right, K),
        "random": top_products(left.unionByName(excluded), right, K, random_seed=1),
    }


@pytest.fixture(scope="module")
def found(spark: SparkSession, shuffling_into: ShufflingInto) -> dict[int, dict[str, Best]]:
    """The products by number of partitions and name, each number's in one Spark job; of 7, the
    right blocks lie apart, too.
    """
    found = {}
    for partitions in (1, 3, 7):
        with shuffling_into(partitions), pytest.MonkeyPatch.context() as patch:
            patch.setattr(topk, "BYTES_PER_GROUP", {1: 1 << 20, 3: 100, 7: 60}[partitions])
            found[partitions] = best_by_name(spark, partitions)
    return found


def best_by_name(spark: SparkSession, partitions: int) -> dict[str, Best]:
    products = products_of(spark, partitions)
    named = [best.withColumn("name", F.lit(name)) for name, best in products.items()]
    rows = reduce(DataFrame.unionByName, named).collect()
    spark.catalog.clearCache()
    best: dict[str, Best] = {name: {} for name in products}
    for row in rows:
        best[row["name"]][row["row"], row["column"]] = row["score"], row["rank"]
    assert sum(map(len, best.values())) == len(rows)
    return best


def test_dense_rows_get_their_largest_products(found: dict[int, dict[str, Best]]) -> None:
    scores = DENSE[0].astype(np.float64) @ DENSE[1].astype(np.float64).T
    assert found[3]["dense"] == sorted_best(scores, K, EXCLUDED)


def test_sparse_rows_get_their_largest_positive_products_ties_by_column(
    found: dict[int, dict[str, Best]],
) -> None:
    best = found[3]["sparse"]
    assert best == sorted_best(SPARSE[0] @ SPARSE[1].T, K, EXCLUDED, above=0)
    # there are ties
    assert len({(row, score) for (row, _), (score, _) in best.items()}) < len(best)


def test_random_rows_are_full_lists_of_what_is_not_excluded(
    found: dict[int, dict[str, Best]],
) -> None:
    drawn = found[3]["random"]
    assert not drawn.keys() & EXCLUDED
    for row in set(ROWS) - {5001}:
        ranked = sorted(
            (rank, score) for (other, _), (score, rank) in drawn.items() if other == row
        )
        assert [rank for rank, _ in ranked] == [1, 2, 3, 4]
        scores = [score for _, score in ranked]
        assert scores == sorted(scores, reverse=True)
        assert 0 <= scores[-1] < scores[0] < 1


def test_a_row_of_which_everything_is_excluded_gets_nothing(
    found: dict[int, dict[str, Best]],
) -> None:
    assert all(row != 5001 for best in found[3].values() for row, _ in best)


@pytest.mark.parametrize("partitions", [1, 7])
def test_the_number_of_partitions_does_not_matter(
    found: dict[int, dict[str, Best]], partitions: int
) -> None:
    assert found[partitions] == found[3]
