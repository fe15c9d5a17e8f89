"""Reasons beside refitting: the user is solved again without the event, by plain NumPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from tests.reasons import oracle

from emberline.cf import reasons
from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import tiles
from emberline.cf.als.objective import Objective
from emberline.cf.blocks import Block
from emberline.cf.equations import Apart, Common, inverse
from emberline.cf.reasons import Reasons, Targets

RNG = np.random.default_rng(3)
ITEMS, RANK, TOP = 40, 6, 3
Y = RNG.normal(size=(ITEMS, RANK)).astype(np.float32)
DEGREES = [1, 2, 3, 5, 9, 9, 17, 30]
DISLIKED = -2.0
HISTORIES = [
    np.sort(RNG.choice(ITEMS, degree, replace=False)).astype(np.int32) for degree in DEGREES
]
VALUES = [RNG.choice([0.5, 1.0, 3.0, 8.0], degree).astype(np.float32) for degree in DEGREES]
GRAMS = Grams.of(Y, np.ones(ITEMS, np.int64))
EVERY = np.ones(ITEMS, bool)
VALUES[5][3] = VALUES[7][11] = DISLIKED
BLOCK = Block(
    np.arange(10, 10 + len(DEGREES), dtype=np.int32),
    np.cumsum([0, *DEGREES]),
    np.concatenate(HISTORIES),
    np.concatenate(VALUES),
)
_WANTED = np.array([RNG.permutation(ITEMS)[:4] for _ in DEGREES], np.int32)
_WANTED[2, 3] = -1
TARGETS = Targets(_WANTED, Y[_WANTED])
OBJECTIVES = {
    "implicit": Objective(True, 0.3, 1.0, 4.0),
    "log, no exponent": Objective(True, 0.8, 0.0, 2.0, "log"),
    "heavy": Objective(True, 0.3, 2.0, 3e4),
    "exp, half": Objective(True, 0.5, 0.5, 1.0, "exp", mean=2.0, deviation=1.5),
    "iALS": Objective(True, 0.05, 1.0, unobserved_weight=0.2),
    "explicit": Objective(False, 0.2, 1.0),
}


def solved(objective: Objective, items: np.ndarray, values: np.ndarray) -> np.ndarray:
    return oracle.solved(Y, items, values, objective)


def explained(objective: Objective, top: int = TOP, told: np.ndarray = EVERY) -> Reasons:
    return reasons.of_events(BLOCK, Common.of(Y, GRAMS, objective), TARGETS, told, top)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_contributions_add_up_to_the_exactly_solved_score(name: str) -> None:
    objective = OBJECTIVES[name]
    common, penalties = Common.of(Y, GRAMS, objective), objective.penalties(BLOCK, ITEMS)
    for rows, columns, tile in tiles(BLOCK, common.items, objective):
        every = np.broadcast_to(Y, (len(rows), ITEMS, RANK))
        less, counted = np.full(len(rows), 0.01), tile.e > 0
        apart = Apart.of(tile, columns, every, common, penalties[rows], less, counted)
        for place, row in enumerate(rows):
            x = solved(objective, HISTORIES[row], VALUES[row])
            np.testing.assert_allclose(apart.scores()[place], Y @ x, rtol=1e-5, atol=1e-6)
            item, event = np.indices((ITEMS, tile.e.shape[1])).reshape(2, -1)
            parts = apart.contributions(np.full(len(item), place), item, event)
            added = parts.reshape(ITEMS, -1).sum(axis=1)
            np.testing.assert_allclose(added, Y @ x, rtol=1e-5, atol=1e-6)


def test_with_biases_an_items_own_is_no_part_of_what_events_add() -> None:
    objective = Objective(False, 0.2, biases=True, mean=2.0)
    common, penalties = Common.of(Y, GRAMS, objective), objective.penalties(BLOCK, ITEMS)
    own = Y.astype(float)
    own[:, -1] = 1
    for rows, columns, tile in tiles(BLOCK, common.items, objective):
        every = np.broadcast_to(own.astype(np.float32), (len(rows), ITEMS, RANK))
        less = 0.2 * (np.diff(BLOCK.indptr)[rows] > 1)
        apart = Apart.of(tile, columns, every, common, penalties[rows], less, tile.e > 0)
        for place, row in enumerate(rows):
            y = own[HISTORIES[row]]
            matrix = y.T @ y + 0.2 * len(y) * np.eye(RANK)
            x = np.linalg.solve(matrix, y.T @ (VALUES[row] - 2.0 - Y[HISTORIES[row], -1]))
            np.testing.assert_allclose(apart.scores()[place], own @ x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_drop_is_what_solving_again_without_the_event_says(name: str) -> None:
    objective = OBJECTIVES[name]
    found = explained(objective)
    assert len(found.users) > 40
    for user, item, past, drop in zip(
        found.users, found.items, found.past, found.drops, strict=True
    ):
        items, values = HISTORIES[user - 10], VALUES[user - 10]
        without = items != past
        left = solved(objective, items[without], values[without])
        expected = float(Y[item] @ (solved(objective, items, values) - left))
        assert drop == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 33, 64])
def test_inverses_by_halves_are_inverses(size: int) -> None:
    roots = RNG.normal(size=(5, 2 * size, size))
    matrices = np.matmul(roots.transpose(0, 2, 1), roots) + np.eye(size)
    np.testing.assert_allclose(inverse(matrices), np.linalg.inv(matrices), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["log, no exponent", "implicit", "iALS"])
def test_the_strongest_events_come_first_and_none_below_zero_is_a_reason(name: str) -> None:
    objective = OBJECTIVES[name]
    found = explained(objective)
    drops = _all_drops(objective)
    by_target: dict[tuple[int, int], list[int]] = {}
    for user, item, past in zip(found.users, found.items, found.past, strict=True):
        by_target.setdefault((int(user), int(item)), []).append(int(past))
    for row, wanted in enumerate(_WANTED):
        for item in wanted[wanted >= 0]:
            every = drops[row, item]
            order = sorted((past for past in every if every[past] > 1e-9), key=lambda j: -every[j])
            assert by_target.get((row + 10, int(item)), []) == order[:TOP]
    assert not any(item < 0 for item in found.items)


def _all_drops(objective: Objective) -> dict[tuple[int, int], dict[int, float]]:
    found: dict[tuple[int, int], dict[int, float]] = {}
    for row, (items, values) in enumerate(zip(HISTORIES, VALUES, strict=True)):
        whole = solved(objective, items, values)
        for past in items:
            without = items != past
            change = whole - solved(objective, items[without], values[without])
            for item in _WANTED[row][_WANTED[row] >= 0]:
                found.setdefault((row, int(item)), {})[int(past)] = float(Y[item] @ change)
    return found


def test_what_may_not_be_told_is_no_reason_and_the_next_one_takes_its_place() -> None:
    objective = OBJECTIVES["implicit"]
    whole = explained(objective, top=40)
    told = EVERY.copy()
    told[whole.past[:20]] = False
    found = explained(objective, told=told)
    assert told[found.past].all()
    kept = whole.take(told[whole.past])
    again = reasons.strongest(kept, TOP)
    assert set(zip(found.users, found.items, found.past, strict=True)) == set(
        zip(again.users, again.items, again.past, strict=True)
    )


def test_with_a_regularisation_of_counts_the_exact_drop_differs_from_that_of_a_fixed_one() -> None:
    by_count = OBJECTIVES["implicit"]
    found = explained(by_count)
    item = int(found.items[found.users == 12][0])  # of a user with three events
    other = explained(replace(by_count, reg_exponent=0.0, reg_param=by_count.reg_param * 3))
    here, there = (_of(each, 12, item) for each in (found, other))
    assert abs(here - there) > 1e-3


def _of(found: Reasons, user: int, item: int) -> float:
    return float(found.drops[(found.users == user) & (found.items == item)][0])


def test_of_neighbours_the_similar_past_items_carry_the_score() -> None:
    history = sp.csr_array(np.array([[0, 2.0, 1.0, 0, 3.0], [1.0, 0, 0, 0, 0]], np.float32))
    similar = np.array(
        [
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 0],
            [0.9, 0.5, 0.4, 0, 0.5],
            [0, 0.1, 0, 0, 0],
        ]
    )
    users, items = np.array([0, 1, 0], np.int32), np.array([3, 3, 4], np.int32)
    told = np.array([True, True, True, True, True])
    found = reasons.of_neighbors(users, items, history, sp.csr_array(similar), told, 2)
    rows: list[tuple[Any, ...]] = list(
        zip(found.users, found.items, found.past, found.contributions, strict=True)
    )
    assert [row[:3] for row in rows] == [(0, 3, 4), (0, 3, 1), (0, 4, 1), (1, 3, 0)]
    np.testing.assert_allclose([row[3] for row in rows], [1.5, 1.0, 0.2, 0.9], rtol=1e-6)
    np.testing.assert_array_equal(found.drops, found.contributions)
