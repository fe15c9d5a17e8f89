"""What is compiled beside what NumPy does to a tile of the same ratings, and when it is."""

import threading
import tracemalloc

import numpy as np
import pytest

from emberline.cf.als import compiled, grouping
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
STEPS, EXACT = Solver(compiled=True), Solver("exact", compiled=True)


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
    monkeypatch.setattr(grouping, "_PORTION", portion)
    monkeypatch.setattr(cf_half_step._Gather, "tile", None)  # nobody gathers one
    found = step(objective, Solver(name, compiled=True))
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-3, atol=1e-3)
    assert found[1] == pytest.approx(plain[1], rel=1e-3)


@pytest.mark.parametrize("widest", [1, 5, 12, 40])
def test_rows_of_too_many_ratings_are_alone_wherever_they_stand(
    widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Summed up in pieces and solved exactly, as by NumPy; among them the last one, and two next to
    each other.
    """
    monkeypatch.setattr(grouping, "TILE", WIDTH)
    monkeypatch.setattr(grouping, "_WIDEST", widest)
    for objective in OBJECTIVES:
        plain, found = step(objective, Solver("exact")), step(objective, EXACT)
        np.testing.assert_allclose(found[0], plain[0], rtol=1e-3, atol=1e-3)
        assert found[1] == pytest.approx(plain[1], rel=1e-3)


def test_portions_have_few_ratings_and_few_rows_and_wide_rows_are_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grouping, "_PORTION", 10)
    monkeypatch.setattr(grouping, "TILE", 8)
    monkeypatch.setattr(grouping, "_WIDEST", 3)  # of width 2: from 13 ratings on, and 4 rows
    degrees = [1, 1, 1, 1, 1, 9, 2, 13, 4, 6, 20, 30, 12, 5]
    indptr = np.concatenate([[0], np.cumsum(degrees)])
    found = [rows.tolist() for rows in grouping.neighbouring(indptr, 2)]
    assert found == [[0, 1, 2, 3], [4, 5], [6], [7], [8, 9], [10], [11], [12], [13]]


@pytest.mark.parametrize("solver", [STEPS, EXACT])
def test_a_block_may_be_read_only(solver: Solver) -> None:
    """As one is that lies in the bytes it travelled in."""
    writable = block()
    arrays = (writable.ids, writable.indptr, writable.indices, writable.values)
    frozen = Block(*(np.frombuffer(each.tobytes(), each.dtype) for each in arrays))
    others = np.frombuffer(factors(OTHERS, 1).tobytes(), np.float32).reshape(OTHERS, WIDTH)
    grams = Grams.of(others, np.ones(OTHERS, np.int64))
    found, _ = half_step(frozen, others, grams, factors(ROWS, 2), OBJECTIVES[0], solver)
    np.testing.assert_array_equal(found, step(OBJECTIVES[0], solver)[0])


def test_the_memory_of_rows_that_many_steps_do_not_solve_is_bounded() -> None:
    """2,000 rows without regularisation and one of 5,000 ratings, padded alike, would be 5 GB."""
    rng, width = np.random.default_rng(5), 128
    degrees = np.array([5000, *np.full(2000, 3)])
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int64)
    others = rng.standard_normal((6000, width)).astype(np.float32)
    indices = np.concatenate([rng.choice(6000, degree, replace=False) for degree in degrees])
    values = rng.uniform(1, 5, len(indices)).astype(np.float32)
    ids = np.arange(len(degrees), dtype=np.int32)
    own = Block(ids, indptr, indices.astype(np.int32), values)
    start = rng.standard_normal((len(ids), width)).astype(np.float32)
    grams = Grams.of(others, np.ones(6000, np.int64))
    compiled.kernel()
    tracemalloc.start()
    half_step(own, others, grams, start, Objective(False, 0.0), EXACT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_numba_that_cannot_be_used_is_told_and_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise ImportError("Numba needs NumPy 2.4 or less")

    monkeypatch.setattr(compiled, "kernel", refuse)
    assert not compiled.is_here.__wrapped__()
    assert "Numba needs NumPy 2.4 or less" in caplog.text


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
