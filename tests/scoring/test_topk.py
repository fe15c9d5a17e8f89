"""Top-k of products of matrices in parts, beside NumPy's product of the same matrices, whole."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from tests.flows import given

from emberline.cf.entries import PIECES
from emberline.cf.pieces import EXCLUDED as EXCLUDED_KIND
from emberline.cf.pieces import scatter_wanted
from emberline.flow.here import Here
from emberline.flow.rows import Flow, Rows
from emberline.scoring import topk
from emberline.scoring.topk import (
    COLUMNS_PER_BLOCK,
    ROWS_PER_BLOCK,
    dense_pieces,
    sparse_pieces,
    top_products,
)
from emberline.spark.flow import SparkFlow

Best = dict[tuple[int, int], tuple[Any, int]]  # score and rank
Pairs = set[tuple[int, int]]
ShufflingInto = Callable[[int], AbstractContextManager[None]]

K = 4
RANK = 3
# Four blocks of rows and three of columns, with gaps within and between them.
ROWS = [0, 3, 4, 2046, 2047, 2048, 2049, 5000, 5001, 7000]
COLUMNS = [1, 2, 7, 300, 4095, 4096, 4097, 6000, 20_000, 20_001]


WANTED = [4, 2048, 5000, 6000]  # the last one has no row


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


def factors(ids: list[int], matrix: np.ndarray) -> pa.Table:
    vectors = pa.array(list(matrix), pa.list_(pa.float32()))
    return pa.table([pa.array(ids, pa.int32()), vectors], names=["id", "factors"])


def entries(places: list[tuple[int, int]], values: list[float] | None = None) -> pa.Table:
    row, column = (pa.array([place[side] for place in places], pa.int32()) for side in (0, 1))
    value = pa.array(values or [0.0] * len(places), pa.float32())
    return pa.table([row, column, value], names=["row", "column", "value"])


def nonzero(ids: list[int], matrix: np.ndarray) -> pa.Table:
    rows, columns = np.nonzero(matrix)
    places = [(ids[row], int(column)) for row, column in zip(rows, columns, strict=True)]
    return entries(places, [float(value) for value in matrix[rows, columns]])


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


def products_of(flow: Flow, parts: int) -> dict[str, Rows]:
    """What is tested, by its name, all inputs cut into so many parts."""

    def dense(ids: list[int], matrix: np.ndarray, size: int) -> Rows:
        return dense_pieces(given(flow, factors(ids, matrix), parts), "id", size)

    def sparse(ids: list[int], matrix: np.ndarray, size: int) -> Rows:
        source = given(flow, nonzero(ids, matrix), parts)
        return sparse_pieces(source, "row", "column", "value", size)

    left, right = dense(ROWS, DENSE[0], ROWS_PER_BLOCK), dense(COLUMNS, DENSE[1], COLUMNS_PER_BLOCK)
    sparse_left = sparse(ROWS, SPARSE[0], ROWS_PER_BLOCK)
    sparse_right = sparse(COLUMNS, SPARSE[1], COLUMNS_PER_BLOCK)
    seen = given(flow, entries(sorted(EXCLUDED)), parts)
    excluded = sparse_pieces(seen, "row", "column", None, ROWS_PER_BLOCK, EXCLUDED_KIND)
    scatter = partial(scatter_wanted, block_size=ROWS_PER_BLOCK)
    wanted = given(flow, pa.table([pa.array(WANTED, pa.int32())], names=["id"]), parts)
    asked_for = left.union(excluded).union(wanted.map(("id",), scatter, PIECES))
    return {
        "dense": top_products(left.union(excluded), right, K),
        "sparse": top_products(sparse_left.union(excluded), sparse_right, K),
        "wanted": top_products(asked_for, right, K, only_wanted=True),
    }


CUTS = [1, 3, 7]
Found = dict[tuple[str, int], dict[str, Best]]


@pytest.fixture(scope="module")
def found(spark: SparkSession, shuffling_into: ShufflingInto) -> Found:
    """The products by engine, number of parts and name; of 7, the right blocks lie apart, too."""
    found: Found = {}
    with Here(memory=1 << 30, cores=2) as here:
        for parts in CUTS:
            with shuffling_into(parts), pytest.MonkeyPatch.context() as patch:
                patch.setattr(topk, "BYTES_PER_GROUP", {1: 1 << 20, 3: 100, 7: 60}[parts])
                for name, flow in (("here", here), ("spark", SparkFlow(spark))):
                    found[name, parts] = best_by_name(flow, parts)
                    spark.catalog.clearCache()
    return found


def best_by_name(flow: Flow, parts: int) -> dict[str, Best]:
    best: dict[str, Best] = {}
    for name, product in products_of(flow, parts).items():
        rows = product.table().to_pylist()
        best[name] = {(row["row"], row["column"]): (row["score"], row["rank"]) for row in rows}
        assert len(best[name]) == len(rows)
    return best


def test_dense_rows_get_their_largest_products(found: Found) -> None:
    scores = DENSE[0].astype(np.float64) @ DENSE[1].astype(np.float64).T
    assert found["here", 3]["dense"] == sorted_best(scores, K, EXCLUDED)


def test_sparse_rows_get_their_largest_positive_products_ties_by_column(
    found: Found,
) -> None:
    best = found["here", 3]["sparse"]
    assert best == sorted_best(SPARSE[0] @ SPARSE[1].T, K, EXCLUDED, above=0)
    # there are ties
    assert len({(row, score) for (row, _), (score, _) in best.items()}) < len(best)


def test_a_row_of_which_everything_is_excluded_gets_nothing(
    found: Found,
) -> None:
    assert all(row != 5001 for best in found["here", 3].values() for row, _ in best)


def test_only_those_who_are_wanted_get_a_list(found: Found) -> None:
    everybody = found["here", 3]["dense"]
    expected = {
        pair: (pytest.approx(score, abs=1e-5), rank)
        for pair, (score, rank) in everybody.items()
        if pair[0] in WANTED
    }
    assert found["here", 3]["wanted"] == expected
    assert expected


@pytest.mark.parametrize("parts", CUTS)
@pytest.mark.parametrize("engine", ["here", "spark"])
def test_neither_the_number_of_parts_nor_the_engine_matters(
    found: Found, engine: str, parts: int
) -> None:
    assert found[engine, parts] == found["here", 3]
