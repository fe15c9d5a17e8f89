"""What is compiled beside what NumPy does to a tile of the same ratings, and when it is."""

import threading

import numpy as np
import pytest

from emberline.cf.als import compiled
from emberline.cf.als import half_step as cf_half_step
from emberline.cf.als.gramians import Grams
from emberline.cf.als.half_step import half_step
from emberline.cf.als.objective import Objective
from emberline.cf.als.solvers import Solver
from emberline.cf.blocks import Block

ROWS, OTHERS, WIDTH = 30, 50, 7
OBJECTIVES = [
    Objective(False, 0.05, biases=True, mean=1.5),
    Objective(True, 0.07, alpha=3.0, confidence="log"),
    Objective(True, 0.01, reg_exponent=0.5, unobserved_weight=0.2),
]
STEPS = Solver(compiled=True)


def block() -> Block:
    rng = np.random.default_rng(3)
    degrees = np.array([1, OTHERS, 1, *rng.integers(2, 20, ROWS - 3)])
    indices = [np.sort(rng.choice(OTHERS, degree, replace=False)) for degree in degrees]
    values = rng.choice([-1.0, 0.0, 1.0, 2.0, 5.0], degrees.sum()).astype(np.float32)
    ids = np.arange(ROWS, dtype=np.int32)
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    return Block(ids, indptr, np.concatenate(indices).astype(np.int32), values)


def factors(rows: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, WIDTH)).astype(np.float32)


def step(objective: Objective, solver: Solver) -> tuple[np.ndarray, float]:
    others = factors(OTHERS, 1)
    grams = Grams.of(others, np.ones(OTHERS, np.int64))
    found, loss = half_step(block(), others, grams, factors(ROWS, 2), objective, solver)
    return found, loss.observed


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("portion", [1, 40, 1 << 16])
@pytest.mark.parametrize("name", ["cg", "exact"])
def test_a_compiled_half_step_is_numpys_whatever_is_done_at_a_time(
    objective: Objective, portion: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = step(objective, Solver(name))
    monkeypatch.setattr(cf_half_step, "_PORTION", portion)
    monkeypatch.setattr(cf_half_step._Gather, "tile", None)  # nobody gathers one
    found = step(objective, Solver(name, compiled=True))
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-3, atol=1e-3)
    assert found[1] == pytest.approx(plain[1], rel=1e-3)


def test_what_is_pulled_and_scored_is_what_plain_loops_say() -> None:
    """By hand: two rows of three ratings, of which the last factor is a bias."""
    others = np.float32([[1, 2, 9], [3, 4, 9], [5, 6, 9]])
    e = np.ones(3, np.float32)
    ratings = compiled.Ratings(
        np.array([0, 2, 3]), np.int32([0, 2, 1]), others, e, e, np.float32([1, 2, 1]), True
    )
    scores, pulled = ratings.slopes(np.float32([[1, 0, 10], [0, 1, 20]]), np.float32([20, 50, 30]))
    np.testing.assert_array_equal(scores, [11, 15, 24])
    np.testing.assert_array_equal(pulled, [[9 + 5 * 20, 18 + 6 * 20, 29], [18, 24, 6]])
    np.testing.assert_array_equal(ratings.sums(ratings.a), [3, 1])
    np.testing.assert_array_equal(ratings.spread(np.float32([[7], [8]])), [7, 7, 8])


def test_without_numba_numpy_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = step(OBJECTIVES[0], Solver())
    monkeypatch.setattr(compiled, "is_here", lambda: False)
    monkeypatch.setattr(compiled, "kernel", None)
    np.testing.assert_array_equal(step(OBJECTIVES[0], STEPS)[0], plain[0])


def test_it_is_compiled_once_however_many_threads_ask() -> None:
    found: list[object] = []
    threads = [threading.Thread(target=lambda: found.append(compiled.kernel())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and len({id(each) for each in found}) == 1
