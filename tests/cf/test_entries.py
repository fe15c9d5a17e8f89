"""Entries into pieces, and pieces into blocks and matrices."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf import entries
from emberline.cf.entries import PIECES, Entries, scatter

ROWS, COLUMNS = np.array([9, 4, 9, 4, 6], np.int32), np.array([3, 8, 0, 1, 2], np.int32)
VALUES = np.array([93, 48, 90, 41, 62], np.float32)


def test_a_block_has_its_entries_in_the_order_of_row_and_column() -> None:
    block = Entries(ROWS, COLUMNS, VALUES).block()
    assert block.is_sparse
    assert block.ids.tolist() == [4, 6, 9]
    assert block.indptr.tolist() == [0, 2, 3, 5]
    assert block.indices.tolist() == [1, 8, 2, 0, 3]
    assert block.values.tolist() == [41, 48, 62, 90, 93]


def test_a_block_without_values_has_places_only() -> None:
    block = Entries(ROWS, COLUMNS).block()
    assert (block.indices.tolist(), len(block.values)) == ([1, 8, 2, 0, 3], 0)
    assert block.places().tolist() == [
        row * 2**32 + column for row, column in ((4, 1), (4, 8), (6, 2), (9, 0), (9, 3))
    ]


@pytest.mark.parametrize(("first", "step"), [(1, 3), (1, 1), (-5, 3)])
def test_a_blocks_ids_begin_anywhere_and_have_any_step(first: int, step: int) -> None:
    ids = np.array([4, 10, 4, 1], np.int32)
    block = Entries(
        ids, np.array([5, 0, 2, 7], np.int32), np.array([45, 100, 42, 17], np.float32)
    ).block(first, step)
    assert block.ids.tolist() == [1, 4, 10]
    assert block.sparse(8).toarray()[[0, 1, 1, 2], [7, 2, 5, 0]].tolist() == [17, 42, 45, 100]


def test_a_matrix_keeps_both_entries_of_one_place() -> None:
    matrix = Entries(
        np.zeros(3, np.int32), np.array([1, 0, 1], np.int32), np.array([2, 5, 3], np.float32)
    ).matrix(2)
    assert (matrix.shape, matrix.nnz) == ((2, 2), 3)
    assert matrix.indices.tolist() == [0, 1, 1]


def test_large_ids_of_few_entries_take_little_memory() -> None:
    columns = np.array([20_000_000, 7, 20_000_000, 3], np.int32)
    tracemalloc.start()
    matrix = Entries(
        np.array([1, 1, 0, 1], np.int32), columns, np.array([12, 17, 2, 13], np.float32)
    ).matrix(3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert matrix.shape == (3, 20_000_001)
    assert matrix.indices.tolist() == [20_000_000, 3, 7, 20_000_000]
    assert (matrix.indptr.tolist(), matrix.data.tolist()) == ([0, 1, 4, 4], [2, 13, 17, 12])
    assert peak < 100_000


def test_nothing_is_an_empty_block() -> None:
    block = Entries.decoded([]).block()
    assert (len(block.ids), block.indptr.tolist(), len(block.indices)) == (0, [0], 0)


@pytest.mark.parametrize("by", ["rows", "columns"])
@pytest.mark.parametrize("portion", [1, 4, 1000])
@pytest.mark.parametrize("num_blocks", [1, 3, 70_000])
def test_every_entry_is_in_one_piece_of_its_block(
    by: str, portion: int, num_blocks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of at most three rows, of which one is empty."""
    monkeypatch.setattr(entries, "_PORTION", portion)
    rng = np.random.default_rng(1)
    rows, columns = np.divmod(rng.choice(10**9, 50, replace=False), 10**4)
    table = pa.table(
        {
            "a": rows.astype(np.int32),
            "b": columns.astype(np.int32),
            "c": np.arange(50, dtype=np.float64),
        }
    )
    batches = table.to_batches(max_chunksize=3)
    batches.insert(2, batches[0].slice(0, 0))
    pieces = pa.Table.from_batches(
        scatter(iter(batches), num_blocks, by, "some"), PIECES
    ).to_pylist()
    found = {}
    for piece in pieces:
        part = Entries.decoded([piece])
        assert piece["kind"] == "some"
        assert set((getattr(part, by) % num_blocks).tolist()) == {piece["block"]}
        found |= dict(
            zip(
                zip(part.rows.tolist(), part.columns.tolist(), strict=True),
                part.values.tolist(),
                strict=True,
            )
        )
    assert found == dict(
        zip(zip(rows.tolist(), columns.tolist(), strict=True), range(50), strict=True)
    )
