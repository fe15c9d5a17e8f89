"""Ratings into blocks, and factors to where they are needed, called here with Arrow tables made
by hand.
"""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberline.cf import entries
from emberline.cf.als import factor_rows, packing, starts
from emberline.cf.als import messages as cf_messages
from emberline.cf.als.gramians import Grams
from emberline.cf.als.objective import Objective
from emberline.cf.blocks import decode
from emberline.cf.entries import PIECES

Pair = tuple[int, int]
RNG = np.random.default_rng(3)
PAIRS = sorted(
    {
        (int(user), int(item))
        for user, item in zip(RNG.integers(0, 30, 200), RNG.integers(0, 12, 200), strict=True)
    }
)
VALUES = {pair: float(at + 1) for at, pair in enumerate(PAIRS)}


def batches_of(pairs: list[Pair], values: dict[Pair, float]) -> list[pa.RecordBatch]:
    user, item = (pa.array([pair[side] for pair in pairs], pa.int32()) for side in (0, 1))
    table = pa.table(
        [user, item, pa.array([values[pair] for pair in pairs], pa.float32())],
        names=["user", "item", "value"],
    )
    return list(table.to_batches(17))


def packed(
    num_blocks: int, routed: bool, pairs: list[Pair] = PAIRS, values: dict[Pair, float] = VALUES
) -> list[dict[str, Any]]:
    """The rows of PACKED, by way of pieces that arrive in the order opposite to that in which
    they were sent.
    """
    pieces = pa.Table.from_batches(
        packing.scatter_ratings(iter(batches_of(pairs, values)), num_blocks), PIECES
    )
    rows = []
    for block in range(num_blocks):
        mine = [row for row in pieces.to_pylist() if row["block"] == block][::-1]
        arrived = pa.Table.from_pylist(mine, schema=PIECES)
        found = pa.Table.from_batches(
            packing.pack_blocks(iter(arrived.to_batches()), num_blocks, routed), packing.PACKED
        )
        rows += found.to_pylist()
    return rows


def needed(block: int, num_blocks: int, own: int) -> np.ndarray:
    """The other side's ids that the ratings of a block name, by block and id."""
    others = {pair[1 - own] for pair in PAIRS if pair[own] % num_blocks == block}
    return np.array(sorted(others, key=lambda other: (other % num_blocks, other)), np.int32)


@pytest.mark.parametrize("routed", [False, True])
@pytest.mark.parametrize("num_blocks", [1, 4, 40])
def test_every_rating_is_in_its_users_block_and_in_its_items(
    num_blocks: int, routed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "_PORTION", 50)
    for side, own in (("user", 0), ("item", 1)):
        found = {}
        for row in packed(num_blocks, routed):
            block = decode(row, f"{side}_")
            columns = (
                needed(row["block"], num_blocks, own)[block.indices] if routed else block.indices
            )
            for index, first, end in zip(
                block.ids.tolist(), block.indptr, block.indptr[1:], strict=False
            ):
                assert index % num_blocks == row["block"]
                assert routed or np.all(np.diff(columns[first:end]) > 0)
                found |= {
                    (index, int(columns[at])): float(block.values[at]) for at in range(first, end)
                }
        assert found == {pair[:: 1 if own == 0 else -1]: value for pair, value in VALUES.items()}


def test_accounts_say_how_many_what_is_wrong_and_where_ids_end() -> None:
    values = {(0, 2): 1.0, (4, 6): 1.0, (40, 2): float("nan"), (44, 2): float("-inf")}
    row = packed(2, False, [(0, 2), *values], values)[0]
    account = {
        name: row[f"user_{name}"] for name in ("ratings", "rows", "last", "not_finite", "repeated")
    }
    assert account == {"ratings": 5, "rows": 4, "last": 44, "not_finite": 2, "repeated": 1}
    assert (row["item_rows"], row["item_last"]) == (2, 6)


def test_the_extent_is_the_largest_of_both_ids() -> None:
    found = pa.Table.from_batches(
        packing.extent(iter(batches_of(PAIRS, VALUES))), packing.EXTENT
    ).to_pydict()
    assert (max(found["user"]), max(found["item"])) == (
        max(PAIRS)[0],
        max(item for _, item in PAIRS),
    )


@pytest.mark.parametrize("floats", [1, 6, 1 << 18])
def test_a_block_is_sent_the_rows_it_needs_in_the_order_in_which_it_counts_them(
    floats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cf_messages, "_MESSAGE_FLOATS", floats)
    num_blocks = 3
    rows = {
        row["block"]: pa.RecordBatch.from_pylist([row], schema=packing.PACKED)
        for row in packed(num_blocks, routed=True)
    }
    ids = {
        block: np.array(sorted({item for _, item in PAIRS if item % num_blocks == block}), np.int32)
        for block in rows
    }
    factors = {block: np.column_stack([own, -own]).astype(np.float32) for block, own in ids.items()}
    stored = {
        block: next(factor_rows.factors_rows(ids[block], factors[block], Grams.empty(2)))
        for block in rows
        if block != 1
    }
    stored |= {
        block: row.set_column(0, "block", pa.array([block], pa.int32()))
        for block, row in stored.items()
    }
    numbers = pa.table({"id": list(rows)}).to_batches()
    messages = pa.Table.from_batches(
        cf_messages.send_factors(iter(numbers), rows.get, stored.get, "item"), cf_messages.MESSAGES
    )
    assert max(len(row["factors"]) for row in messages.to_pylist()) <= max(4 * floats, 8)
    for block in rows:
        mine = [row for row in messages.to_pylist() if row["block"] == block]
        received = [
            np.frombuffer(row["factors"], np.float32)
            for row in sorted(mine, key=lambda row: (row["source"], row["part"]))
        ]
        wanted = [
            item for item in needed(block, num_blocks, own=0).tolist() if item % num_blocks != 1
        ]
        assert np.concatenate(received).reshape(-1, 2).tolist() == [
            [item, -item] for item in wanted
        ]


def test_merged_sums_are_those_of_all_rows_and_every_row_keeps_its_name() -> None:
    factors = RNG.standard_normal((6, 2, 3)).astype(np.float32)
    schema = pa.schema(
        [field for field in factor_rows.SOLVED if field.name not in ("ids", "factors")]
    ).append(pa.field("file", pa.string()))
    rows = []
    for block, some in enumerate(factors):
        sums = factor_rows.sums_of(Grams.of(some, np.array([1, 2])))
        rows.append(
            {
                "block": block,
                "file": f"{block}.arrow",
                **sums,
                **dict.fromkeys(factor_rows.LOSS, float(block)),
            }
        )
    batches = pa.Table.from_pylist(rows[::-1], schema=schema).to_batches(max_chunksize=4)
    merged = pa.Table.from_batches(factor_rows.merge_sums(iter(batches), 3)).to_pylist()
    assert [(row["block"], row["file"]) for row in merged] == [
        (block, f"{block}.arrow") for block in range(6)
    ]
    assert {row["each"] for row in merged[1:]} == {None}
    found, expected = (
        factor_rows.grams_of(merged, 3),
        Grams.of(np.concatenate(factors), np.array([1, 2] * 6)),
    )
    np.testing.assert_allclose(found.each, expected.each, rtol=1e-6)
    np.testing.assert_allclose(found.rated, expected.rated, rtol=1e-6)
    assert (found.rows, found.ratings, merged[0]["penalty"]) == (12, 18, 15.0)
    assert list(factor_rows.merge_sums(iter([]), 3)) == []


def test_the_driver_gets_few_sums_of_many_blocks() -> None:
    assert [factor_rows.num_sums(blocks) for blocks in (1, 64, 100, 7630, 65_536)] == [
        1,
        64,
        10,
        88,
        256,
    ]


def test_earlier_factors_go_to_their_ids_and_new_ids_begin_at_zero() -> None:
    ids = np.array([2, 5, 8, 11], np.int32)
    own = pa.RecordBatch.from_pylist(
        [{"block": 2, "ids": ids.tobytes(), "indptr": np.array([0, 1, 3, 6, 10]).tobytes()}]
    )
    rows = [(14, [1.0, 1]), (8, [8, 0.5]), (9, [5, 5]), (2, [2, 3])]
    earlier = pa.RecordBatch.from_pylist(
        [{"id": index, "factors": factors} for index, factors in rows], starts.EARLIER
    )
    pieces = [
        *starts.rated_pieces(iter([own])),
        *starts.scatter_published(iter([earlier.slice(0, 1), earlier.slice(1)]), 3),
    ]
    of_block = iter([piece for piece in pieces if piece["block"][0].as_py() == 2])
    (row,) = starts.continue_from(of_block, "user", Objective(True, 0.1), 2)
    found = row.to_pylist()[0]
    assert np.frombuffer(found["factors"], np.float32).reshape(-1, 2).tolist() == [
        [2, 3],
        [0, 0],
        [8, 0.5],
        [0, 0],
    ]
    assert (found["rows"], found["ratings"]) == (4, 10)
    each, rated = (np.frombuffer(found[name]).reshape(2, 2) for name in ("each", "rated"))
    assert each.tolist() == [[68, 10], [10, 9.25]]  # of 2, 3 and 8, 0.5
    np.testing.assert_allclose(
        rated, [[4 + 3 * 64, 6 + 3 * 4], [6 + 3 * 4, 9 + 3 * 0.25]], rtol=1e-6
    )
