"""Blocks of rows: what goes through bytes comes back, and their products are NumPy's."""

from collections.abc import Callable

import numpy as np
import pytest

from emberline.cf.blocks import Block, decode, dense_block, product
from emberline.cf.entries import Entries

IDS = np.array([7, 2, 5], np.int32)


def random_rows(seed: int, shape: tuple[int, int] = (3, 4)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def sparse_of(matrix: np.ndarray, seed: int = 0) -> Block:
    """A block of the places of `matrix` that are not zero, given in a random order."""
    places = np.random.default_rng(seed).permutation(np.argwhere(matrix)).astype(np.int32)
    return Entries(places[:, 0], places[:, 1], matrix[places[:, 0], places[:, 1]]).block()


def thinned(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """A random matrix, most of it zeros, but without empty rows."""
    rng = np.random.default_rng(seed)
    matrix = rng.standard_normal(shape).astype(np.float32) * (rng.random(shape) < 0.3)
    matrix[:, 0] = 1
    return matrix.astype(np.float32)


@pytest.mark.parametrize(
    "make", [lambda: dense_block(IDS, random_rows(1)), lambda: sparse_of(thinned(2, (5, 9)))]
)
@pytest.mark.parametrize("prefix", ["", "right_"])
def test_a_block_survives_its_encoding(make: Callable[[], Block], prefix: str) -> None:
    block = make()
    back = decode({prefix + name: value for name, value in block.encode().items()}, prefix)
    for name in ("ids", "indptr", "indices", "values"):
        before, after = getattr(block, name), getattr(back, name)
        assert after.dtype == before.dtype
        assert after.tolist() == before.tolist()
    assert back.is_sparse == block.is_sparse


def test_dense_rows_are_put_in_the_order_of_their_ids() -> None:
    block = dense_block(IDS, np.array([[70, 71], [20, 21], [50, 51]], np.float32))
    assert not block.is_sparse
    assert block.ids.tolist() == [2, 5, 7]
    assert block.dense().tolist() == [[20, 21], [50, 51], [70, 71]]


def test_the_product_of_dense_blocks_is_numpys() -> None:
    left, right = random_rows(3, (3, 6)), random_rows(4, (5, 6))
    found = product(
        dense_block(np.arange(3, dtype=np.int32), left),
        dense_block(np.arange(5, dtype=np.int32), right),
    )
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, left.astype(np.float64) @ right.astype(np.float64).T, atol=1e-5
    )


@pytest.mark.parametrize(("left_columns", "right_columns"), [(9, 9), (9, 30), (30, 9)])
def test_the_product_of_sparse_blocks_is_numpys(left_columns: int, right_columns: int) -> None:
    left, right = np.zeros((6, 30), np.float32), np.zeros((4, 30), np.float32)
    left[:, :left_columns], right[:, :right_columns] = (
        thinned(5, (6, left_columns)),
        thinned(6, (4, right_columns)),
    )
    found = product(sparse_of(left), sparse_of(right, seed=1))
    assert found.dtype == np.float32
    np.testing.assert_allclose(
        found, left.astype(np.float64) @ right.astype(np.float64).T, atol=1e-5
    )


def test_rows_without_a_common_column_have_the_product_zero() -> None:
    left, right = np.array([[1, 2, 0, 0]], np.float32), np.array([[0, 0, 3, 4]], np.float32)
    assert product(sparse_of(left), sparse_of(right)).tolist() == [[0]]
