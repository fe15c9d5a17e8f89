"""What Spark's Python workers run, called here with Arrow tables made by hand."""

from collections.abc import Callable, Iterable

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf import entries, metrics, packing, ranks, scoring
from emberline.cf import pieces as cf_pieces
from emberline.cf.als import gramians
from emberline.cf.blocks import Block, decode, dense_block
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


def cell(
    left: Block, right: Block, excluded: Block | None = None, numbers: tuple[int, int] = (0, 0)
) -> list[pa.RecordBatch]:
    """A cell of one block of each side."""
    gone = [] if excluded is None else [pieces(excluded, numbers[0], True, cf_pieces.EXCLUDED)]
    return [pieces(right, numbers[1]), *gone, pieces(left, numbers[0], True)]


def scored(cells: Iterable[pa.RecordBatch], k: int, seed: int | None = None) -> Scores:
    rows = pa.Table.from_batches(
        scoring.merge_lists(scoring.score_cell(iter(cells), k, seed), k), scoring.BEST
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


@pytest.mark.parametrize(
    "cut",
    [lambda table: table, lambda table: pa.concat_tables([table.slice(0, 1), table.slice(1)])],
)
def test_dense_rows_are_packed_in_the_order_of_their_ids(
    cut: Callable[[pa.Table], pa.Table],
) -> None:
    table = pa.table(
        {
            "block": [7, 7, 7],
            "row": pa.array([5, 3, 4], pa.int32()),
            "factors": [[5, 50], [3, 30], [4, 40]],
        }
    )
    table = table.cast(pa.schema([("block", pa.int32()), ("row", pa.int32()), ("factors", FLOATS)]))
    packed = packing.pack_dense(cut(table))
    assert packed.schema == packing.BLOCKS
    (row,) = packed.to_pylist()
    assert row["block"] == 7
    assert decode(row).ids.tolist() == [3, 4, 5]
    assert decode(row).dense().tolist() == [[3, 30], [4, 40], [5, 50]]


def test_sparse_entries_are_packed_in_the_order_of_row_and_column() -> None:
    numbers = {"row": [5, 3, 5], "column": [2, 9, 0]}
    columns = {
        name: pa.array(values, pa.int32())
        for name, values in ({"block": [2, 2, 2]} | numbers).items()
    }
    packed = packing.pack_sparse(
        pa.table(columns | {"value": pa.array([52, 39, 50], pa.float32())})
    )
    assert packed.schema == packing.BLOCKS
    (row,) = packed.to_pylist()
    assert row["block"] == 2
    assert decode(row).ids.tolist() == [3, 5]
    assert decode(row).sparse(10).toarray()[:, [0, 2, 9]].tolist() == [[0, 0, 39], [50, 52, 0]]


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


def test_random_scores_depend_only_on_the_seed_and_the_blocks_numbers() -> None:
    def draw(seed: int, numbers: tuple[int, int], width: int = 3) -> Scores:
        return scored(
            cell(dense(LEFT_IDS, width, width), dense(RIGHT_IDS, 9, width), numbers=numbers),
            5,
            seed,
        )

    drawn = draw(1, (3, 5))
    assert draw(1, (3, 5), width=1) == drawn
    others = [draw(2, (3, 5)), draw(1, (4, 5)), draw(1, (3, 6)), draw(1, (5, 3))]
    assert all(other.keys() == drawn.keys() for other in others)
    assert len({tuple(sorted(scores.items())) for scores in [drawn, *others]}) == 5


def test_random_scores_are_uniform_and_leave_out_the_excluded() -> None:
    ids = np.arange(100, dtype=np.int32)
    gone = [(row, column) for row in range(100) for column in range(0, 100, 2)]
    found = scored(cell(dense(ids, 1), dense(ids, 2), places(gone)), 100, seed=1)
    assert {column % 2 for _, column in found} == {1}
    scores = np.array(list(found.values()))
    counts, _ = np.histogram(scores, bins=10, range=(0, 1))
    assert counts.sum() == 5000
    assert np.all(np.abs(counts - 500) < 4 * np.sqrt(450))


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


def test_ranking_sums_of_a_block_count_users_without_hits() -> None:
    """Users 30 and 10 have 2 and 1 relevant items; 30 has hits at ranks 1 and 3, 10 at rank 2,
    20 none.
    """
    users = {
        "user": pa.array([30, 10, 20], pa.int32()),
        "relevant": pa.array([2, 1, 4], pa.int32()),
    }
    hits = pa.table(
        {"user": pa.array([30, 10, 30], pa.int32()), "rank": pa.array([3, 2, 1], pa.int32())}
    )
    found = metrics.ranking_sums(pa.table({"model": ["als"] * 3} | users), hits, (2,))
    assert found.schema == metrics.SUMS
    (row,) = found.to_pylist()
    assert (row["model"], row["users"]) == ("als", 3)
    log3 = np.log2(3)
    each = np.array(
        [
            [1 / 2, 1 / 2, 1 / 2, 1, 1 / (1 + 1 / log3), 1 / 2],
            [1 / 2, 1, 1, 1, 1 / log3, 1 / 2],
            [0] * 6,
        ]
    )
    np.testing.assert_allclose(row["totals"], each.sum(axis=0))
    np.testing.assert_allclose(row["squares"], (each**2).sum(axis=0))


def test_a_block_without_hits_has_sums_of_zero() -> None:
    users = pa.table(
        {
            "model": ["als"],
            "user": pa.array([3], pa.int32()),
            "relevant": pa.array([2], pa.int32()),
        }
    )
    hits = pa.table({"user": pa.array([], pa.int32()), "rank": pa.array([], pa.int32())})
    assert metrics.ranking_sums(users, hits, (1,)).to_pylist() == [
        {"model": "als", "users": 1, "totals": [0.0] * 6, "squares": [0.0] * 6}
    ]


def test_dot_products_are_numpys_also_of_slices() -> None:
    left, right = (
        np.random.default_rng(seed).standard_normal((6, 4)).astype(np.float32) for seed in (1, 2)
    )
    batch = pa.record_batch(
        [
            pa.array(range(6), pa.int32()),
            pa.array(list(left), FLOATS),
            pa.array(list(right), FLOATS),
        ],
        names=["user", "user_factors", "item_factors"],
    )
    found = pa.Table.from_batches(scoring.dot_products(iter([batch.slice(0, 2), batch.slice(2)])))
    assert found.column_names == ["user", "predicted"]
    assert found["user"].to_pylist() == list(range(6))
    np.testing.assert_allclose(found["predicted"].to_numpy(), np.diag(left @ right.T), rtol=1e-5)


def places_pair(left: Block, right: Block, wanted: Block, model: str = "als") -> pa.RecordBatch:
    """One row of what count_places reads."""
    parts = {"": left, ranks.WANTED: wanted, ranks.RIGHT: right}
    row = {
        prefix + name: value
        for prefix, block in parts.items()
        for name, value in block.encode().items()
    }
    fields = [pa.field(name, pa.binary()) for name in row]
    schema = pa.schema([("block", pa.int32()), ("model", pa.string()), *fields])
    return pa.RecordBatch.from_pylist([{"block": 0, "model": model} | row], schema=schema)


def counted(pairs: Iterable[pa.RecordBatch]) -> dict[tuple[int, int], tuple[int, int]]:
    """How many are above and how many equal, by user and item, summed over the pairs."""
    found = pa.Table.from_batches(ranks.count_places(iter(pairs)), ranks.PLACES)
    sums: dict[tuple[int, int], tuple[int, int]] = {}
    for row in found.to_pylist():
        above, equal = sums.get((row["user"], row["item"]), (0, 0))
        sums[row["user"], row["item"]] = (above + row["above"], equal + row["equal"])
    return sums


def wanted_scores(scores: np.ndarray, users: np.ndarray, items: list[tuple[int, int]]) -> Block:
    """The scores of wanted (user, item) pairs; scores: (users, items), items being their
    columns.
    """
    rows, columns = np.array(items, np.int32).T
    return Entries(
        rows, columns, scores[np.searchsorted(users, rows), columns].astype(np.float32)
    ).block()


def test_places_are_counted_over_all_blocks_of_items_with_ties() -> None:
    """Factors of small whole numbers have many equal scores, which float32 holds exactly."""
    rng = np.random.default_rng(1)
    users, items = np.array([2, 3, 5, 8], np.int32), np.arange(40, dtype=np.int32)
    user_factors, item_factors = (rng.integers(-2, 3, (n, 3)).astype(np.float32) for n in (4, 40))
    scores = user_factors @ item_factors.T
    wanted = [(5, 7), (2, 0), (5, 39), (5, 20), (8, 12)]
    left, block = dense_block(users, user_factors), wanted_scores(scores, users, wanted)
    cuts = [slice(0, 15), slice(15, 16), slice(16, 40)]
    pairs = [places_pair(left, dense_block(items[cut], item_factors[cut]), block) for cut in cuts]
    expected = {}
    for user, item in wanted:
        row = scores[users.tolist().index(user)].tolist()
        expected[user, item] = (
            sum(score > row[item] for score in row),
            sum(score == row[item] for score in row),
        )
    assert max(equal for _, equal in expected.values()) > 3
    assert counted(pairs) == counted(reversed(pairs)) == expected


def test_scores_that_rounding_makes_differ_are_equal() -> None:
    """The wanted score was computed elsewhere, in another order of additions."""
    factors = np.array([[100.0], [100.00001], [100.00004], [100.001], [99.999]], np.float32)
    one = dense_block(np.array([0], np.int32), np.ones((1, 1), np.float32))
    wanted = Entries(
        np.array([0], np.int32), np.array([0], np.int32), np.array([100.00002], np.float32)
    ).block()
    assert counted(
        [places_pair(one, dense_block(np.arange(5, dtype=np.int32), factors), wanted)]
    ) == {(0, 0): (1, 3)}


def test_places_bear_their_model() -> None:
    left, right = dense(LEFT_IDS, 1), dense(RIGHT_IDS, 2)
    wanted = wanted_scores(left.dense() @ right.dense().T, LEFT_IDS, [(4, 1)])
    (batch,) = ranks.count_places(iter([places_pair(left, right, wanted, "cnn")]))
    assert batch["model"].to_pylist() == ["cnn"]


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
