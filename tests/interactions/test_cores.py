"""Users and items with too few ratings are dropped until none is left."""

import random

import pyarrow as pa
import pytest
from tests.flows import rows_of
from tests.interactions.oracle import Pair, core_of

from emberline.cleaning.pairs import MERGED
from emberline.flow.rows import Flow
from emberline.interactions import cores
from emberline.interactions.cores import Sides


def _left(flow: Flow, pairs: set[Pair], min_user: int, min_item: int, parts: int = 3) -> set[Pair]:
    """The pairs whose user and item are left; each user is in one part, and has two rows of a
    pair.
    """
    users, items = (sorted({pair[side] for pair in pairs}) for side in (0, 1))
    merged = [
        {"user": users.index(user), "item": items.index(item), "latest": latest}
        for user, item in sorted(pairs)
        for latest in (True, False)
    ]
    for row in merged:
        row["block"] = row["user"]
    schema = pa.schema([("block", pa.int32()), *list(MERGED)[:3]])
    rows = rows_of(flow, pa.Table.from_pylist(merged, schema)).together(parts)
    sides = Sides(len(users), len(items), min_user, min_item)
    left_users, left_items = cores.left(flow, rows, sides)
    return {
        (user, item)
        for user, item in pairs
        if left_users[users.index(user)] and left_items[items.index(item)]
    }


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_the_rare_are_dropped_until_none_is_left(flow: Flow) -> None:
    rng = random.Random(11)
    pairs = {
        (f"u{int(60 * rng.random() ** 1.7)}", f"i{int(50 * rng.random() ** 1.7)}")
        for _ in range(520)
    }
    core, rounds = core_of(pairs, 5, 7)
    assert rounds >= 5
    assert 50 < len(core) < len(pairs)
    assert _left(flow, pairs, 5, 7) == core


def test_a_chain_of_pairs_falls_from_its_end_and_spares_the_rest(flow: Flow) -> None:
    square = {(user, item) for user in ("x", "y") for item in ("p", "q")}
    chain = {(f"u{n}", f"i{n}") for n in range(6)} | {(f"u{n}", f"i{n - 1}") for n in range(1, 6)}
    assert core_of(square | chain, 2, 2) == (square, 3)
    assert _left(flow, square | chain, 2, 2) == square
    assert _left(flow, chain, 2, 2) == set()


def test_minimums_of_one_drop_nothing_and_each_side_has_its_own(flow: Flow) -> None:
    pairs = {("u", "a"), ("u", "b"), ("v", "a")}
    assert _left(flow, pairs, 1, 1) == pairs
    assert _left(flow, pairs, 2, 1) == {("u", "a"), ("u", "b")}
    assert _left(flow, pairs, 1, 2) == {("u", "a"), ("v", "a")}
