"""Half-steps beside the normal equations over all pairs, and their losses beside the sums that
the papers write.
"""

import itertools
import tracemalloc
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

from emberline.cf.als import gramians, grouping
from emberline.cf.als.factors import initial_factors, published, unpublished
from emberline.cf.als.gramians import Grams, gramian
from emberline.cf.als.half_step import half_step
from emberline.cf.als.objective import Loss, Objective
from emberline.cf.als.solvers import Solver
from emberline.cf.blocks import Block

NUM_ROWS, NUM_OTHERS, RANK = 40, 60, 5
RNG = np.random.default_rng(4)
OTHERS = RNG.standard_normal((NUM_OTHERS, RANK)).astype(np.float32)
START = RNG.standard_normal((NUM_ROWS, RANK)).astype(np.float32)

EXPLICIT = Objective(False, 0.05)
MLLIB = Objective(True, 0.07, alpha=3.0)
UNSCALED = Objective(True, 2.0, reg_exponent=0.0, alpha=3.0)
RENDLE = Objective(True, 0.01, reg_exponent=0.5, unobserved_weight=0.2)
OBJECTIVES = [EXPLICIT, MLLIB, UNSCALED, RENDLE]
CHOLESKY = Solver("cholesky")
COMPILED = Solver(compiled=True)


def ratings(seed: int = 1) -> np.ndarray:
    """Values (rows, others), NaN where there is none: degrees from 1 to all, values above and,
    seldom, below or at zero.
    """
    rng = np.random.default_rng(seed)
    matrix = np.full((NUM_ROWS, NUM_OTHERS), np.nan)
    for row, degree in enumerate([1, 1, 2, NUM_OTHERS, *rng.integers(1, 30, NUM_ROWS - 4)]):
        columns = rng.choice(NUM_OTHERS, degree, replace=False)
        matrix[row, columns] = rng.choice(
            [1.0, 2.0, 0.5, 4.0, -1.0, 0.0], degree, p=[0.4, 0.2, 0.1, 0.2, 0.05, 0.05]
        )
    return matrix.astype(np.float32)


def block_of(matrix: np.ndarray) -> Block:
    rows, columns = np.nonzero(~np.isnan(matrix))
    csr = sp.csr_array((matrix[rows, columns], (rows, columns)), shape=matrix.shape)
    ids = np.arange(len(matrix), dtype=np.int32)
    return Block(ids, csr.indptr.astype(np.int64), csr.indices.astype(np.int32), csr.data)


def solved(
    matrix: np.ndarray, objective: Objective, solver: Solver, start: np.ndarray = START
) -> tuple[np.ndarray, Loss]:
    block = block_of(matrix)
    counts = (~np.isnan(matrix)).sum(axis=0)
    return half_step(block, OTHERS, Grams.of(OTHERS, counts), start, objective, solver)


def weights(matrix: np.ndarray, objective: Objective) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of all pairs, from the papers: the weight c, the preference p, and each row's
    regularisation.
    """
    known = ~np.isnan(matrix)
    values = np.where(known, matrix, 0).astype(float)
    positive = values > 0
    if not objective.implicit:
        return known * 1.0, values, objective.reg_param * known.sum(1) ** objective.reg_exponent
    if objective.unobserved_weight is None:
        counts = positive.sum(1).astype(float)
        return (
            1 + objective.alpha * np.abs(values),
            positive * 1.0,
            objective.reg_param * counts**objective.reg_exponent,
        )
    w = objective.unobserved_weight
    counts = known.sum(1) + w * matrix.shape[1]
    return known + w, positive / (1 + w), objective.reg_param * counts**objective.reg_exponent


def by_normal_equations(matrix: np.ndarray, objective: Objective) -> np.ndarray:
    y = OTHERS.astype(float)
    return np.array(
        [
            np.linalg.solve((y.T * c) @ y + reg * np.eye(RANK), (y.T * c) @ p)
            for c, p, reg in zip(*weights(matrix, objective), strict=True)
        ]
    )


def has_answer(matrix: np.ndarray, objective: Objective) -> np.ndarray:
    """Rows whose equations are not singular: a scaled regularisation is nothing where nothing
    is counted.
    """
    return weights(matrix, objective)[2] > 0


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_exact_half_step_solves_the_equations_over_all_pairs(objective: Objective) -> None:
    found, _ = solved(ratings(), objective, CHOLESKY)
    rows = has_answer(ratings(), objective)
    np.testing.assert_allclose(
        found[rows], by_normal_equations(ratings(), objective)[rows], rtol=1e-3, atol=2e-4
    )


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiles so small that rows of more than 12 ratings are summed up in pieces."""
    monkeypatch.setattr(grouping, "TILE", 4 * RANK)
    monkeypatch.setattr(grouping, "_WIDEST", 3)
    yield


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("solver", [CHOLESKY, Solver(steps=40), Solver(steps=40, compiled=True)])
@pytest.mark.parametrize("objective", [EXPLICIT, MLLIB, RENDLE])
def test_rows_that_are_wider_than_tiles_are_solved_too(
    objective: Objective, solver: Solver
) -> None:
    found, loss = solved(ratings(), objective, solver)
    rows = has_answer(ratings(), objective)
    np.testing.assert_allclose(
        found[rows], by_normal_equations(ratings(), objective)[rows], rtol=1e-3, atol=1e-3
    )
    assert loss.observed == pytest.approx(loss_by_hand(found, ratings(), objective)[0], rel=1e-4)


def held_by_least_squares(matrix: np.ndarray, objective: Objective, prior: float) -> np.ndarray:
    """All terms as rows of one system: pairs, the regularisation, and the distance from START."""
    y, one = OTHERS.astype(float), np.eye(RANK)
    return np.array(
        [
            np.linalg.lstsq(
                np.vstack([np.sqrt(c)[:, None] * y, np.sqrt(reg) * one, np.sqrt(prior) * one]),
                np.concatenate([np.sqrt(c) * p, np.zeros(RANK), np.sqrt(prior) * mean]),
                rcond=None,
            )[0]
            for c, p, reg, mean in zip(*weights(matrix, objective), START, strict=True)
        ]
    )


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_rows_are_held_to_where_they_start(objective: Objective) -> None:
    matrix = ratings()
    for prior in (0.5, 20.0):
        found, _ = solved(matrix, objective, Solver("cholesky", prior=prior))
        expected = held_by_least_squares(matrix, objective, prior)
        np.testing.assert_allclose(found, expected, atol=1e-3)
    held, _ = solved(matrix, objective, Solver("cholesky", prior=1e7))
    np.testing.assert_allclose(held, START, atol=1e-3)


@pytest.mark.usefixtures("small_tiles")
def test_rows_that_are_wider_than_tiles_are_held_too() -> None:
    found, _ = solved(ratings(), MLLIB, Solver("cholesky", prior=5.0))
    expected = held_by_least_squares(ratings(), MLLIB, 5.0)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "solver",
    [
        Solver("cg", steps=40),
        Solver("cg", steps=40, compiled=True),
        Solver("exact"),
        Solver("exact", compiled=True),
        Solver("subspace", subspace=RANK),
    ],
)
def test_iterative_solvers_reach_the_exact_answer(objective: Objective, solver: Solver) -> None:
    """Conjugate gradients after many steps or enough of them, the subspace solver at once where
    its subspace is all there is.
    """
    found, _ = solved(ratings(), objective, solver)
    exact, _ = solved(ratings(), objective, CHOLESKY)
    rows = has_answer(ratings(), objective)
    np.testing.assert_allclose(found[rows], exact[rows], rtol=1e-2, atol=2e-3)


def test_passes_over_small_subspaces_reach_the_exact_answer() -> None:
    found = START
    for _ in range(60):
        found, _ = solved(ratings(), UNSCALED, Solver("subspace", subspace=2), found)
    np.testing.assert_allclose(
        found, by_normal_equations(ratings(), UNSCALED), rtol=1e-3, atol=1e-3
    )


def loss_by_hand(
    x: np.ndarray, matrix: np.ndarray, objective: Objective
) -> tuple[float, float, float]:
    """Observed, unobserved and penalty, pair by pair."""
    observed = unobserved = 0.0
    for row in range(len(matrix)):
        for column in range(matrix.shape[1]):
            score, value = float(x[row].astype(float) @ OTHERS[column]), matrix[row, column]
            is_known = not np.isnan(value)
            if is_known and not objective.implicit:
                observed += (value - score) ** 2
            elif is_known:
                weight = (
                    1.0
                    if objective.unobserved_weight is not None
                    else 1 + objective.alpha * abs(value)
                )
                observed += weight * (float(value > 0) - score) ** 2
            if objective.implicit and (not is_known or objective.unobserved_weight is not None):
                unobserved += (objective.unobserved_weight or 1.0) * score**2
    return (
        observed,
        unobserved,
        float(weights(matrix, objective)[2] @ (x.astype(float) ** 2).sum(1)),
    )


@pytest.mark.parametrize("solver", [CHOLESKY, Solver(), COMPILED, Solver("subspace", subspace=2)])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_parts_of_the_loss_are_the_papers_sums(objective: Objective, solver: Solver) -> None:
    found, loss = solved(ratings(), objective, solver)
    parts = loss.observed, loss.unobserved(objective), loss.penalty
    assert parts == pytest.approx(loss_by_hand(found, ratings(), objective), rel=1e-4, abs=1e-3)


@pytest.mark.parametrize(
    "solver",
    [Solver(steps=1), Solver(), Solver("subspace", subspace=2), CHOLESKY, Solver(nonnegative=True)],
)
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_half_step_never_raises_the_loss(objective: Objective, solver: Solver) -> None:
    x = np.abs(START) if solver.nonnegative else START
    before = sum(loss_by_hand(x, ratings(), objective))
    for _ in range(4):
        x, _ = solved(ratings(), objective, solver, x)
        after = sum(loss_by_hand(x, ratings(), objective))
        assert after <= before * (1 + 1e-5)
        before = after


@pytest.mark.parametrize("objective", [EXPLICIT, MLLIB, RENDLE])
def test_nonnegative_factors_are_those_of_nonnegative_least_squares(objective: Objective) -> None:
    found, _ = solved(ratings(), objective, Solver(nonnegative=True))
    y = OTHERS.astype(float)
    for row, (c, p, reg) in enumerate(zip(*weights(ratings(), objective), strict=True)):
        design = np.vstack([np.sqrt(c)[:, None] * y, np.sqrt(reg) * np.eye(RANK)])
        expected, _ = scipy.optimize.nnls(design, np.concatenate([np.sqrt(c) * p, np.zeros(RANK)]))
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-3)


def test_nonnegative_factors_are_exact_with_little_regularisation_too() -> None:
    """Others in nearly one direction: descent along one factor after the other creeps."""
    rng = np.random.default_rng(0)
    rows, degree, rank = 20, 20, 32
    others = (rng.random((rows * degree, rank)) @ (np.eye(rank) + rng.random((rank, rank)))).astype(
        np.float32
    )
    values = rng.integers(1, 6, rows * degree).astype(np.float32)
    block = Block(
        np.arange(rows, dtype=np.int32),
        np.arange(rows + 1) * degree,
        np.arange(rows * degree, dtype=np.int32),
        values,
    )
    grams = Grams.of(others, np.ones(rows * degree, np.int64))
    solver, start = Solver(nonnegative=True), np.zeros((rows, rank), np.float32)
    factors, _ = half_step(block, others, grams, start, Objective(False, 0.0005), solver)
    assert factors.min() >= 0
    for x, y, rated in zip(
        factors.astype(float),
        others.reshape(rows, degree, rank).astype(float),
        values.reshape(rows, -1),
        strict=True,
    ):
        reg = 0.0005 * degree
        best, _ = scipy.optimize.nnls(
            np.vstack([y, np.sqrt(reg) * np.eye(rank)]), np.concatenate([rated, np.zeros(rank)])
        )
        least, found = (np.sum((rated - y @ v) ** 2) + reg * v @ v for v in (best, x))
        assert found == pytest.approx(least, rel=2e-5)


def test_biases_are_least_squares_weights_of_a_column_of_ones() -> None:
    """The others' last factor is their bias: it and the mean are taken off the values."""
    objective = Objective(False, 0.05, biases=True, mean=1.5)
    matrix = ratings()
    found, loss = solved(matrix, objective, CHOLESKY)
    wrong = 0.0
    for row, values in enumerate(matrix):
        known = np.flatnonzero(~np.isnan(values))
        design = np.column_stack([OTHERS[known, :-1].astype(float), np.ones(len(known))])
        target = values[known] - 1.5 - OTHERS[known, -1]
        penalty = np.sqrt(0.05 * len(known)) * np.eye(RANK)
        expected = np.linalg.lstsq(
            np.vstack([design, penalty]), np.concatenate([target, np.zeros(RANK)]), rcond=None
        )[0]
        np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-4)
        wrong += ((design @ expected - target) ** 2).sum()
    assert loss.observed == pytest.approx(wrong, rel=1e-4)


def test_published_biases_make_the_dot_product_the_prediction() -> None:
    objective = Objective(False, 0.1, biases=True, mean=3.5)
    users, items = START[:6], OTHERS[:7]
    predicted = users[:, :-1] @ items[:, :-1].T + users[:, -1:] + items[:, -1] + 3.5
    both = published(users, "user", objective), published(items, "item", objective)
    np.testing.assert_allclose(both[0] @ both[1].T, predicted, rtol=1e-5)
    np.testing.assert_allclose(unpublished(both[0], "user", objective), users, atol=1e-6)
    np.testing.assert_array_equal(unpublished(both[1], "item", objective), items)
    assert published(users, "user", MLLIB) is users


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Objective(False, 0.5), [1.5, 0.5]),
        (Objective(False, 0.5, reg_exponent=0.0), [0.5, 0.5]),
        (Objective(True, 0.5), [1.0, 0.0]),
        (Objective(True, 0.5, reg_exponent=2.0), [2.0, 0.0]),
        (Objective(True, 0.5, unobserved_weight=0.1), [4.0, 3.0]),
        (Objective(True, 0.5, reg_exponent=0.5, unobserved_weight=0.1), [np.sqrt(2), np.sqrt(1.5)]),
    ],
)
def test_regularisation_is_scaled_by_the_count_that_the_table_says(
    objective: Objective, expected: list[float]
) -> None:
    """Of a row with the ratings 2, 1 and -1, and one with the rating 0, beside 50 others."""
    block = Block(
        np.array([0, 1], np.int32),
        np.array([0, 3, 4]),
        np.arange(4, dtype=np.int32),
        np.float32([2, 1, -1, 0]),
    )
    assert objective.penalties(block, 50) == pytest.approx(expected)


@pytest.mark.parametrize(
    "solver",
    [CHOLESKY, Solver(), COMPILED, Solver("subspace", subspace=2), Solver(nonnegative=True)],
)
@pytest.mark.parametrize("objective", [Objective(False, 0.0), Objective(True, 0.0, alpha=5.0)])
def test_without_regularisation_and_with_more_factors_than_ratings_all_is_finite(
    objective: Objective, solver: Solver
) -> None:
    found, _ = solved(ratings(), objective, solver, np.zeros_like(START))
    assert np.isfinite(found).all()
    one = ratings()[0]
    known = np.flatnonzero(~np.isnan(one))
    if not objective.implicit and solver == CHOLESKY:
        np.testing.assert_allclose(OTHERS[known] @ found[0], one[known], atol=1e-3)


@pytest.mark.parametrize(
    "solver", [CHOLESKY, Solver("exact"), Solver("exact", compiled=True)], ids=str
)
@pytest.mark.parametrize(("degree", "directions"), [(60, 128), (5000, 3)])
def test_without_regularisation_errors_are_those_of_least_squares(
    solver: Solver, degree: int, directions: int
) -> None:
    """Fewer ratings than factors, and factors of few directions: what is left of A by float32
    is not positive definite.
    """
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((directions, 128)) if directions < 128 else np.eye(128)
    others = (0.3 * rng.standard_normal((2 * degree, directions)) @ spread + 1).astype(np.float32)
    chosen = np.sort(rng.choice(2 * degree, degree, replace=False)).astype(np.int32)
    values = rng.integers(1, 6, degree).astype(np.float32)
    block = Block(np.array([0], np.int32), np.array([0, degree]), chosen, values)
    grams = Grams.of(others, np.full(2 * degree, 3))
    factors, loss = half_step(
        block, others, grams, np.zeros((1, 128), np.float32), Objective(False, 0.0), solver
    )
    y = others[chosen].astype(np.float64)
    least = np.linalg.lstsq(y, values, rcond=1e-4)[0]  # what float32 rounds away is no direction
    assert loss.observed == pytest.approx(
        np.sum((values - y @ least) ** 2), rel=1e-3, abs=1e-3 * float(values @ values)
    )
    assert np.abs(factors).max() < 10 * np.abs(least).max()


def test_the_memory_of_exact_solvers_does_not_grow_with_rows_of_few_ratings() -> None:
    """30,000 matrices of (32, 32) would be 250 MB of float64 alone."""
    count = 30_000
    ids = np.arange(count, dtype=np.int32)
    block = Block(ids, np.arange(count + 1), ids, np.ones(count, np.float32))
    others = np.random.default_rng(0).standard_normal((count, 32)).astype(np.float32)
    tracemalloc.start()
    half_step(block, others, Grams.of(others, np.ones(count, np.int64)), others, MLLIB, CHOLESKY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_a_row_that_is_only_disliked_has_factors_of_zero() -> None:
    matrix = np.full((1, NUM_OTHERS), np.nan, np.float32)
    matrix[0, [3, 5]] = [-1, -2]
    for solver in (CHOLESKY, Solver(steps=30), Solver("subspace"), Solver("exact", compiled=True)):
        begun = START[:1] if solver.name == "exact" else np.zeros((1, RANK), np.float32)
        found, _ = solved(matrix, MLLIB, solver, begun)
        np.testing.assert_allclose(found, 0, atol=1e-6)


@pytest.mark.parametrize("solver", [Solver(), COMPILED])
def test_a_row_with_a_million_ratings_keeps_its_precision(solver: Solver) -> None:
    rng = np.random.default_rng(8)
    count, rank = 1_000_000, 4
    others = rng.standard_normal((count, rank)).astype(np.float32) + 1
    values = rng.uniform(1, 5, count).astype(np.float32)
    block = Block(
        np.zeros(1, np.int32), np.array([0, count]), np.arange(count, dtype=np.int32), values
    )
    objective = Objective(False, 0.0001)
    grams = Grams.of(others, np.ones(count, np.int64))
    found, _ = half_step(block, others, grams, np.zeros((1, rank), np.float32), objective, solver)
    y = others.astype(float)
    expected = np.linalg.solve(y.T @ y + 0.0001 * count * np.eye(rank), y.T @ values.astype(float))
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)


def test_the_gramian_is_the_sum_of_outer_products_in_float64(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gramians, "_CHUNK", 7)
    found = gramian(OTHERS)
    assert found.dtype == np.float64
    np.testing.assert_allclose(
        found, sum(np.outer(each, each) for each in OTHERS.astype(float)), rtol=1e-12
    )


def test_initial_factors_depend_on_the_seed_and_the_id_alone() -> None:
    ids = np.array([3, 0, 2**31 - 1, 7], np.int32)
    found = initial_factors(ids, 16, seed=5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(initial_factors(ids[2:3], 16, seed=5)[0], found[2])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert not np.allclose(initial_factors(ids, 16, seed=6), found)
    assert initial_factors(ids, 16, seed=5, nonnegative=True).min() >= 0


def test_initial_factors_of_many_ids_point_everywhere() -> None:
    found = initial_factors(np.arange(20_000, dtype=np.int32), 8, seed=1)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(found.T), np.eye(8), atol=0.04)


def fit(
    matrix: np.ndarray, objective: Objective, solver: Solver, iterations: int
) -> tuple[np.ndarray, list[float]]:
    """All scores of a fit by the code under test, and the loss after each iteration."""
    blocks = {"row": block_of(matrix), "column": block_of(matrix.T)}
    x = initial_factors(np.arange(len(matrix), dtype=np.int32), RANK, 1)
    y = np.zeros((matrix.shape[1], RANK), np.float32)
    losses = []
    counts = {side: np.diff(block.indptr) for side, block in blocks.items()}
    for _ in range(iterations):
        y, by_columns = half_step(
            blocks["column"], x, Grams.of(x, counts["row"]), y, objective, solver
        )
        x, by_rows = half_step(
            blocks["row"], y, Grams.of(y, counts["column"]), x, objective, solver
        )
        losses.append(
            by_rows.observed + by_rows.unobserved(objective) + by_rows.penalty + by_columns.penalty
        )
    return x @ y.T, losses


@pytest.mark.parametrize("solver", [Solver(), COMPILED, Solver("subspace", subspace=2), CHOLESKY])
@pytest.mark.parametrize("objective", [EXPLICIT, MLLIB, RENDLE])
def test_the_loss_never_rises_from_iteration_to_iteration(
    objective: Objective, solver: Solver
) -> None:
    matrix = ratings(2)
    matrix[0] = 1.0  # nobody is without a rating
    _, losses = fit(matrix, objective, solver, 12)
    assert all(after <= before * (1 + 1e-5) for before, after in itertools.pairwise(losses))
    assert losses[-1] < losses[0]


def test_rows_and_columns_swapped_give_the_transpose() -> None:
    rng = np.random.default_rng(3)
    matrix = (rng.uniform(1, 2, (30, 3)) @ rng.uniform(0.5, 1.5, (3, 20))).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.3] = np.nan
    scores, losses = fit(matrix, Objective(False, 0.02), CHOLESKY, 400)
    transposed, transposed_losses = fit(matrix.T, Objective(False, 0.02), CHOLESKY, 400)
    assert transposed_losses[-1] == pytest.approx(losses[-1], rel=1e-3)
    np.testing.assert_allclose(transposed.T, scores, atol=0.02)
