"""What Spark's Python workers run, called here with Arrow tables made by hand."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf import entries, scoring
from emberline.cf import pieces as cf_pieces
from emberline.cf.als import gramians
from emberline.cf.blocks import Block, dense_block
from emberline.cf.entries import Entries

Scores = dict[tuple[int, int], float]

FLOATS = pa.list_(pa.float32())
LEFT_IDS, RIGHT_IDS = np.array([1, 4, 6], np.int32), np.array([0, 2, 3, 8, 9], np.int32)


def dense(ids: np.ndarray, seed: int, width: int = 3) -> Block:
    return dense_block(
        ids, np.random.default_rng(seed).standard_normal((len(ids), width)).astype(np.float32)
    )


def sparse(ids: np.ndarray, matrix: np.ndarray) -> Block:
    """A sparse block of the places of `matrix` that are not zero."""
    rows, columns = np.nonzero(matrix)
    return Entries(ids[rows], columns.astype(np.int32), matrix[rows, columns]).block()


def places(pairs: Iterable[tuple[int, int]]) -> Block:
    """A sparse block with entries at `pairs`."""
    rows, columns = np.array(list(pairs), np.int32).T
    return Entries(rows, columns).block()


def pieces(
    block: Block, number: int = 0, is_left: bool = False, kind: str | None = None
) -> pa.RecordBatch:
    """One row of what score_cell reads: a block, or, of kind EXCLUDED, what it excludes."""
    rows = np.repeat(block.ids, np.diff(block.indptr)) if block.is_sparse else block.ids
    arrays = {
        "rows": rows,
        "columns": block.indices,
        "values": block.values,
        "idf": np.empty(0, np.float32),
    }
    row = {
        "block": number,
        "kind": kind or (cf_pieces.SPARSE if block.is_sparse else cf_pieces.DENSE),
        "is_left": is_left,
    }
    row |= {name: array.tobytes() for name, array in arrays.items()}
    return pa.RecordBatch.from_pylist(
        [row], schema=entries.PIECES.append(pa.field("is_left", pa.bool_()))
    )


def cell(left: Block, right: Block, excluded: Block | None = None) -> list[pa.RecordBatch]:
    """A cell of one block of each side."""
    gone = [] if excluded is None else [pieces(excluded, 0, True, cf_pieces.EXCLUDED)]
    return [pieces(right), *gone, pieces(left, 0, True)]


def scored(cells: Iterable[pa.RecordBatch], k: int) -> Scores:
    rows = pa.Table.from_batches(
        scoring.merge_lists(scoring.score_cell(iter(cells), k), k), scoring.BEST
    ).to_pylist()
    scores = {(row["row"], row["column"]): row["score"] for row in rows}
    assert len(scores) == len(rows)
    return scores


def best_of(
    matrix: np.ndarray, k: int, gone: Iterable[tuple[int, int]] = (), above: float = -np.inf
) -> Scores:
    """The k largest of each row of `matrix`, whose rows and columns are LEFT_IDS and RIGHT_IDS."""
    best: Scores = {}
    for row, values in zip(LEFT_IDS.tolist(), matrix.tolist(), strict=True):
        candidates = [
            (-value, column) for column, value in zip(RIGHT_IDS.tolist(), values, strict=True)
        ]
        kept = sorted(
            pair for pair in candidates if (row, pair[1]) not in gone and -pair[0] > above
        )
        best |= {(row, column): pytest.approx(-negative, abs=1e-5) for negative, column in kept[:k]}
    return best


def pieces_of(
    ids: np.ndarray, matrix: np.ndarray, gone: list[tuple[int, int]], is_dense: bool
) -> list[pa.RecordBatch]:
    """PIECES, by blocks of ten ids, of the rows of a matrix and of what they exclude."""
    factors = pa.table([pa.array(ids), pa.array(list(matrix), FLOATS)], names=["id", "factors"])
    rows, columns = (place.astype(np.int32) for place in np.nonzero(matrix))
    stored = pa.table([ids[rows], columns, matrix[rows, columns]], names=["row", "column", "value"])
    places = pa.table(
        [pa.array([pair[side] for pair in gone], pa.int32()) for side in (0, 1)],
        names=["row", "column"],
    )
    own = cf_pieces.scatter_dense(iter(factors.to_batches(3)), 10)
    if not is_dense:
        own = cf_pieces.scatter_sparse(iter(stored.to_batches(3)), 10, cf_pieces.SPARSE)
    return [*own, *cf_pieces.scatter_sparse(iter(places.to_batches(3)), 10, cf_pieces.EXCLUDED)]


@pytest.mark.parametrize("portion", [1, 1000])
@pytest.mark.parametrize("is_dense", [True, False])
def test_what_is_scattered_is_put_together_and_scored(
    is_dense: bool, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is excluded in block 0, and block 3 has no rows of its own."""
    monkeypatch.setattr(cf_pieces, "_PORTION_ROWS", portion)
    monkeypatch.setattr(entries, "_PORTION", portion)
    ids = np.random.default_rng(2).permutation(np.array([0, 4, 9, 10, 25, 26, 29], np.int32))
    matrix = np.random.default_rng(1).integers(1, 9, (len(ids), 4)).astype(np.float32)
    gone = [(25, 26), (10, 29), (25, 0), (33, 0), (26, 10)]
    left, right = pieces_of(ids, matrix, gone, is_dense), pieces_of(ids, matrix, [], is_dense)
    found = []
    for side, batches in ((False, right), (True, left)):
        for batch in sorted(batches, key=lambda batch: batch["block"][0].as_py()):
            found.append(batch.append_column("is_left", pa.array([side] * batch.num_rows)))
    products = matrix @ matrix.T
    assert scored(found, len(ids)) == {
        (row, column): products[i, j]
        for i, row in enumerate(ids.tolist())
        for j, column in enumerate(ids.tolist())
        if (row, column) not in gone
    }


@pytest.mark.parametrize("k", [1, 3, 10])
def test_pairs_of_dense_blocks_are_scored_by_their_product(k: int) -> None:
    left, right = dense(LEFT_IDS, 1), dense(RIGHT_IDS, 2)
    assert scored(cell(left, right), k) == best_of(left.dense() @ right.dense().T, k)


def test_excluded_pairs_are_no_candidates() -> None:
    left, right = dense(LEFT_IDS, 1), dense(RIGHT_IDS, 2)
    gone = [(1, 0), (1, 8), (6, 9), (6, 7), (5, 3), *((4, column) for column in RIGHT_IDS.tolist())]
    found = scored(cell(left, right, places(gone)), 4)
    assert found == best_of(left.dense() @ right.dense().T, 4, gone)
    assert {row for row, _ in found} == {1, 6}


def test_sparse_rows_are_candidates_where_their_product_is_positive() -> None:
    left = np.array([[1, 0, 0, 2], [0, 3, 0, 0], [0, 0, -1, 0]], np.float32)
    right = np.array(
        [[1, 1, 0, 0], [0, 0, 5, 0], [2, 0, 0, 1], [-1, -1, -1, -1], [0, 0, 0, 1]], np.float32
    )
    found = scored(cell(sparse(LEFT_IDS, left), sparse(RIGHT_IDS, right)), 10)
    assert found == best_of(left @ right.T, 10, above=0)
    assert found == {(1, 0): 1, (1, 3): 4, (1, 9): 2, (4, 0): 3, (6, 8): 1}


def test_a_left_block_meets_right_blocks_of_several_cells() -> None:
    """The lists of two cells are merged."""
    left, rights, gone = (
        dense(LEFT_IDS, 1),
        [dense(RIGHT_IDS + 10 * number, number + 2) for number in range(4)],
        [(1, 12), (6, 33)],
    )
    lefts = [pieces(places(gone), 0, True, cf_pieces.EXCLUDED), pieces(left, 0, True)]
    cells = [
        [*(pieces(rights[number], number) for number in group), *lefts]
        for group in ((3,), (0, 1, 2))
    ]
    lists = [batch for found in cells for batch in scoring.score_cell(iter(found), 3)]
    merged = pa.Table.from_batches(scoring.merge_lists(iter(lists), 3), scoring.BEST)
    scores = np.concatenate([left.dense() @ right.dense().T for right in rights], axis=1)
    ids = np.concatenate([right.ids for right in rights]).tolist()
    assert merged.to_pylist() == [
        {"row": row, "column": column, "score": pytest.approx(-negative, abs=1e-5), "rank": rank}
        for row, values in zip(LEFT_IDS.tolist(), scores.tolist(), strict=True)
        for rank, (negative, column) in enumerate(
            sorted(
                (-value, column)
                for value, column in zip(values, ids, strict=True)
                if (row, column) not in gone
            )[:3],
            1,
        )
    ]


def test_blocks_larger_than_a_tile_are_scored_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "_TILE_ROWS", 2)
    monkeypatch.setattr(scoring, "_TILE_COLUMNS", 2)
    gone = [(1, 0), (1, 8), (6, 9)]
    left, right = dense(LEFT_IDS, 1), dense(RIGHT_IDS, 2)
    assert scored(cell(left, right, places(gone)), 2) == best_of(
        left.dense() @ right.dense().T, 2, gone
    )
    rng = np.random.default_rng(5)
    rows, columns = (
        rng.integers(0, 3, (len(ids), 4)).astype(np.float32) for ids in (LEFT_IDS, RIGHT_IDS)
    )
    rows[:, 0] = columns[:, 0] = 1  # no row is empty
    found = scored(cell(sparse(LEFT_IDS, rows), sparse(RIGHT_IDS, columns), places(gone)), 2)
    assert found == best_of(rows @ columns.T, 2, gone, above=0)


def lists(matrix: np.ndarray) -> pa.Array:
    return pa.array(list(matrix.astype(np.float32)), FLOATS)


def test_gramians_of_batches_add_up_to_the_gramian_of_all() -> None:
    factors = np.random.default_rng(1).standard_normal((7, 3)).astype(np.float32)
    batch = pa.record_batch([lists(factors)], names=["factors"])
    found = pa.Table.from_batches(
        gramians.sum_gramians(iter([batch.slice(0, 2), batch.slice(2)])), gramians.GRAMIANS
    )
    assert found.num_rows == 1
    total = np.frombuffer(found["gramian"][0].as_py())
    np.testing.assert_allclose(
        total.reshape(3, 3), sum(np.outer(row, row) for row in factors.astype(float)), rtol=1e-12
    )
