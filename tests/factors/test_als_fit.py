"""A fit beside the same fit in plain NumPy, on either engine, however it is cut, exchanged,
interrupted and begun.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.recommendation import ALS
from pyspark.sql import SparkSession
from tests.flows import given, rows_of

from emberline.cf.als import compiled, factor_rows
from emberline.cf.als.factors import initial_factors
from emberline.cf.als.starts import EARLIER
from emberline.errors import DataError, EmptyDatasetError
from emberline.factors import fit as als_fit
from emberline.factors import plan
from emberline.factors.exchange import Exchange
from emberline.factors.fit import Model
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.sections.als import AlsConfig, RatingFactorsConfig

Factors = dict[str, dict[int, np.ndarray]]
Fitted = tuple[Factors, list[dict[str, Any]], dict[str, Any]]
Fit = Callable[..., Fitted]
RANK, ITERATIONS, ALPHA, REG = 4, 3, 2.0, 0.1
HU: dict[str, Any] = {"alpha": ALPHA, "reg_param": REG, "confidence": "linear"}


def likes(seed: int = 0, num_users: int = 50, num_items: int = 30) -> dict[tuple[int, int], float]:
    """Counts by user and item, with gaps in the ids and one user and one item with everything."""
    rng = np.random.default_rng(seed)
    taste = rng.uniform(0, 1, (num_users, 3)) @ rng.uniform(0, 1, (3, num_items))
    counts = rng.poisson(taste * (rng.random(taste.shape) < 0.3))
    counts[7], counts[:, 11] = 1, 2
    return {
        (3 * int(user), 2 * int(item) + 1): float(counts[user, item])
        for user, item in np.argwhere(counts > 0)
    }


LIKES = likes()
Ratings = dict[tuple[int, int], float]


def parted(ratings: Ratings, one_in: int) -> tuple[Ratings, Ratings]:
    """Every so many-th rating apart from the others."""
    kept = {pair: value for n, (pair, value) in enumerate(ratings.items()) if n % one_in}
    return kept, {pair: value for pair, value in ratings.items() if pair not in kept}


def table_of(ratings: Ratings) -> pa.Table:
    user, item = (pa.array([pair[side] for pair in ratings], pa.int32()) for side in (0, 1))
    values = pa.array(ratings.values(), pa.float32())
    return pa.table([user, item, values], names=["user", "item", "value"])


@pytest.fixture
def fit(flow: Flow, tmp_path: Path) -> Fit:
    """`fit(ratings, implicit=True, parts=2, earlier=None, withheld=None, **als)`: both sides'
    factors, the history, and the final loss.
    """

    def fitted(
        ratings: Ratings = LIKES,
        implicit: bool = True,
        parts: int = 2,
        earlier: Factors | None = None,
        work: str = "",
        withheld: Ratings | None = None,
        **settings: Any,
    ) -> Fitted:
        biases = {"ratings": RatingFactorsConfig(biases=settings.pop("biases", False))}
        config = AlsConfig(
            **{"rank": RANK, "iterations": ITERATIONS, **HU, "blocks": 3} | biases | settings
        )
        folder = tmp_path / (work or uuid.uuid4().hex)
        model = als_fit.fit(
            flow,
            given(flow, table_of(ratings), parts),
            config,
            implicit,
            folder,
            tmp_path / "scratch",
            earlier
            and {side: rows_of(flow, earlier_of(factors)) for side, factors in earlier.items()},
            withheld=given(flow, table_of(withheld)) if withheld else None,
        )
        found = collected(model), model.history, model.final
        model.close()
        return found

    return fitted


def earlier_of(factors: dict[int, np.ndarray]) -> pa.Table:
    rows = [{"id": index, "factors": vector.tolist()} for index, vector in factors.items()]
    return pa.Table.from_pylist(rows, schema=EARLIER)


def collected(model: Model) -> Factors:
    sides = {side: model.factors(side).table() for side in ("user", "item")}
    return {
        side: dict(
            zip(table[side].to_pylist(), np.array(table["factors"].to_pylist()), strict=True)
        )
        for side, table in sides.items()
    }


def assert_same(left: Factors, right: Factors, tolerance: float = 1e-4) -> None:
    for side in ("user", "item"):
        assert left[side].keys() == right[side].keys()
        for index, vector in left[side].items():
            size = np.abs(vector).max()
            np.testing.assert_allclose(
                right[side][index],
                vector,
                atol=tolerance * max(size, 0.1),
                err_msg=f"{side} {index}",
            )


# --------------------------------------------------------------------------------------------------
# plain NumPy's fit


def plain_fit(implicit: bool, iterations: int = ITERATIONS) -> tuple[Factors, float]:
    """Users, then items and users in turns, each solved exactly over all pairs (Hu et al., or
    ALS-WR); factors and the loss.
    """
    users, items = (sorted({pair[side] for pair in LIKES}) for side in (0, 1))
    values = np.zeros((len(users), len(items)))
    for (user, item), value in LIKES.items():
        values[users.index(user), items.index(item)] = value
    known = values > 0
    c, p = (1 + ALPHA * values, known * 1.0) if implicit else (known * 1.0, values)
    y = initial_factors(np.array(items, np.int32), RANK, 1).astype(float)
    x = solve(y, c, p, REG * known.sum(1))
    for _ in range(iterations):
        y = solve(x, c.T, p.T, REG * known.sum(0))
        x = solve(y, c, p, REG * known.sum(1))
    penalty = REG * (known.sum(1) @ (x**2).sum(1) + known.sum(0) @ (y**2).sum(1))
    loss = (c * (p - x @ y.T) ** 2).sum() + penalty
    return {
        "user": dict(zip(users, x, strict=True)),
        "item": dict(zip(items, y, strict=True)),
    }, float(loss)


def solve(others: np.ndarray, c: np.ndarray, p: np.ndarray, regs: np.ndarray) -> np.ndarray:
    identity = np.eye(others.shape[1])
    systems = zip(c, p, regs, strict=True)
    return np.array(
        [
            np.linalg.solve((others.T * w) @ others + reg * identity, (others.T * w) @ row)
            for w, row, reg in systems
        ]
    )


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
@pytest.mark.parametrize(("implicit", "exchange"), [(True, "broadcast"), (False, "shuffle")])
def test_an_exact_fit_is_plain_numpys(fit: Fit, implicit: bool, exchange: str) -> None:
    factors, history, final = fit(implicit=implicit, solver="cholesky", exchange=exchange)
    expected, loss = plain_fit(implicit)
    assert_same(expected, factors, 1e-3)
    assert [row["iteration"] for row in history] == [1, 2, 3]
    assert history[-1]["loss"] == pytest.approx(loss, rel=1e-4)
    assert final["loss"] == pytest.approx(loss, rel=1e-4)
    assert final["loss"] == pytest.approx(
        final["observed"] + final["unobserved"] + final["regularisation"]
    )
    assert (final["unobserved"] > 0) == implicit


def loss_of(factors: Factors, implicit: bool) -> float:
    """The sum that is minimised, over all pairs."""
    users, items = (sorted(factors[side]) for side in ("user", "item"))
    values = np.array([[LIKES.get((user, item), 0.0) for item in items] for user in users])
    x, y = (
        np.array([factors[side][index] for index in ids])
        for side, ids in (("user", users), ("item", items))
    )
    known = values > 0
    c, p = (1 + ALPHA * values, known * 1.0) if implicit else (known * 1.0, values)
    penalty = REG * (known.sum(1) @ (x**2).sum(1) + known.sum(0) @ (y**2).sum(1))
    return float((c * (p - x @ y.T) ** 2).sum() + penalty)


@pytest.mark.faults
@pytest.mark.parametrize("implicit", [True, False])
def test_the_same_settings_come_as_far_as_in_mllib(
    spark: SparkSession, fit: Fit, implicit: bool
) -> None:
    """At the median of some beginnings, which on so little data are worth several per cent."""
    losses: dict[str, list[float]] = {"ours": [], "theirs": []}
    for seed in range(1, 6):
        peer = ALS(
            rank=RANK, maxIter=5, regParam=REG, alpha=ALPHA, implicitPrefs=implicit,
            userCol="user", itemCol="item",
            ratingCol="value", seed=seed,
        ).fit(spark.createDataFrame(table_of(LIKES)))  # fmt: skip
        rows = {"user": peer.userFactors.collect(), "item": peer.itemFactors.collect()}
        theirs = {
            side: {row["id"]: np.array(row["features"]) for row in found}
            for side, found in rows.items()
        }
        ours, _, final = fit(implicit=implicit, iterations=5, seed=seed)
        assert final["loss"] == pytest.approx(loss_of(ours, implicit), rel=1e-4)
        losses["ours"].append(final["loss"])
        losses["theirs"].append(loss_of(theirs, implicit))
    assert np.median(losses["ours"]) <= 1.02 * np.median(losses["theirs"])


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """The default solver's fit, of 3 parts in 5 blocks, all factors broadcast, here."""
    folder = tmp_path_factory.mktemp("reference")
    config = AlsConfig(rank=RANK, iterations=4, **HU, blocks=5, exchange="broadcast")
    with Here(memory=1 << 30, cores=2) as here:
        ratings = given(here, table_of(LIKES), 3)
        model = als_fit.fit(here, ratings, config, True, folder / "work", folder / "scratch")
        return collected(model), model.history, model.final


CUTS = [(1, 1, "broadcast"), (7, 2, "shuffle"), (2, 7, "broadcast"), (3, 3, "shuffle")]
ON_SPARK = [
    pytest.param("spark", *cut, marks=[pytest.mark.faults] if cut in CUTS[2:] else [])
    for cut in CUTS
]


@pytest.mark.parametrize(
    ("flow", "parts", "blocks", "exchange"),
    [*(("here", *cut) for cut in CUTS), *ON_SPARK],
    indirect=["flow"],
)
def test_neither_parts_nor_blocks_nor_the_exchange_nor_the_engine_change_factors(
    fit: Fit, reference: Fitted, parts: int, blocks: int, exchange: str
) -> None:
    factors, history, _ = fit(iterations=4, parts=parts, blocks=blocks, exchange=exchange)
    assert_same(reference[0], factors)
    assert [row["loss"] for row in history] == pytest.approx(
        [row["loss"] for row in reference[1]], rel=1e-4
    )


def test_large_fits_are_compiled_which_changes_no_factors(
    fit: Fit, reference: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []
    kernel = compiled.kernel
    monkeypatch.setattr(compiled, "kernel", lambda: asked.append(True) or kernel())
    monkeypatch.setattr(plan, "_COMPILED_FROM", len(LIKES) * 4 + 1)
    fit(iterations=4)
    assert not asked
    monkeypatch.setattr(plan, "_COMPILED_FROM", len(LIKES) * 4)
    factors, history, _ = fit(iterations=4)
    assert asked
    assert_same(reference[0], factors)
    assert [row["loss"] for row in history] == pytest.approx(
        [row["loss"] for row in reference[1]], rel=1e-4
    )


@pytest.mark.parametrize(
    ("flow", "is_compiled"), [("here", True), ("spark", False)], indirect=["flow"]
)
def test_only_threads_are_compiled_for(flow: Flow, is_compiled: bool) -> None:
    """Spark's processes are as quick without."""
    large, small = (plan.Sizes(count, 1000, 1000, RANK) for count in (1 << 24, 1 << 10))
    chosen = [plan.choose(AlsConfig(iterations=2), sizes, flow) for sizes in (large, small)]
    assert [each.compiled for each in chosen] == [is_compiled, False]


@pytest.mark.parametrize(
    "flow", ["here", pytest.param("spark", marks=pytest.mark.faults)], indirect=True
)
def test_sums_of_blocks_that_are_merged_first_are_the_same(
    fit: Fit, reference: Fitted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(factor_rows, "_SUMS_AT_ONCE", 2)
    taken: list[int] = []
    grams_of = factor_rows.grams_of
    monkeypatch.setattr(
        factor_rows,
        "grams_of",
        lambda rows, width: taken.append(len(rows)) or grams_of(rows, width),
    )
    _, history, _ = fit(iterations=2, blocks=7, exchange="shuffle")
    assert max(taken) == 3
    assert [row["loss"] for row in history] == pytest.approx(
        [row["loss"] for row in reference[1][:2]], rel=1e-4
    )


def test_the_loss_falls_and_users_are_at_last_the_exact_answer_to_the_items(
    reference: Fitted,
) -> None:
    factors, history, final = reference
    losses = [row["loss"] for row in history] + [final["loss"]]
    assert losses == sorted(losses, reverse=True)
    items = np.array(list(factors["item"].values()))
    for user, vector in factors["user"].items():
        values = np.array([LIKES.get((user, item), 0.0) for item in factors["item"]])
        exact = solve(
            items,
            1 + ALPHA * values[None],
            (values > 0)[None] * 1.0,
            REG * (values > 0)[None].sum(1),
        )
        np.testing.assert_allclose(vector, exact[0], atol=1e-4)


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize(
    ("exchange", "flow"),
    [
        ("broadcast", "here"),
        ("shuffle", "here"),
        ("broadcast", "spark"),
        pytest.param("shuffle", "spark", marks=pytest.mark.faults),
    ],
    indirect=["flow"],
)
def test_a_killed_fit_goes_on_at_the_iteration_that_was_stored(
    fit: Fit, reference: Fitted, exchange: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = 0
    half_step = Exchange.half_step

    def counted(self: Exchange, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 7:  # within the third iteration
            raise Killed
        return half_step(self, *arguments)

    monkeypatch.setattr(Exchange, "half_step", counted)
    # of a file, where the driver writes them
    monkeypatch.setattr(factor_rows, "_STORED_FLOATS", 7 * RANK)
    with pytest.raises(Killed):
        fit(iterations=4, checkpoint_every=2, exchange=exchange, work="killed")
    factors, history, final = fit(
        iterations=4, checkpoint_every=2, exchange=exchange, work="killed", blocks=5
    )
    assert steps == 7 + 2 * 2  # two iterations
    assert_same(reference[0], factors)
    assert len(history) == 4
    assert final["loss"] == pytest.approx(reference[2]["loss"], rel=1e-4)


def test_a_killed_fit_begins_anew_where_another_exchange_is_asked_for(
    fit: Fit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the remedy for what killed it; `auto` goes on as it was."""
    steps: list[str] = []
    half_step = Exchange.half_step

    def counted(self: Exchange, *arguments: Any) -> Any:
        steps.append(self.name)
        if len(steps) == 4:  # within the second iteration
            raise Killed
        return half_step(self, *arguments)

    monkeypatch.setattr(Exchange, "half_step", counted)
    with pytest.raises(Killed):
        fit(iterations=2, checkpoint_every=1, exchange="broadcast", work="killed")
    fit(iterations=2, checkpoint_every=1, exchange="shuffle", work="killed")
    assert steps[4:] == ["shuffle"] * (1 + 2 * 2)
    assert "als_begins_anew stored=broadcast wanted=shuffle iterations=1" in caplog.text
    fit(iterations=3, checkpoint_every=1, exchange="auto", work="killed")
    assert steps[9:] == ["shuffle"] * 2


def test_a_warm_start_reaches_the_cold_starts_loss_in_fewer_iterations(fit: Fit) -> None:
    """Yesterday's factors, for today's ratings: a tenth of them new, and new users and items
    among them.
    """
    today = planted(6)
    yesterday = {
        pair: value
        for at, (pair, value) in enumerate(today.items())
        if at % 10 and pair[0] < 76 and pair[1] < 38
    }
    settings = {"implicit": False, "rank": 2, "reg_param": 0.05, "biases": True}
    before, _, _ = fit(yesterday, iterations=16, **settings)
    _, cold, _ = fit(today, iterations=8, **settings)
    factors, warm, _ = fit(today, iterations=4, earlier=before, **settings)
    assert warm[3]["loss"] <= cold[7]["loss"]
    assert warm[0]["loss"] < cold[3]["loss"]
    assert factors["user"].keys() == {user for user, _ in today}
    assert factors["item"].keys() == {item for _, item in today}


def test_without_iterations_new_users_are_folded_in_and_items_stay(
    fit: Fit, reference: Fitted
) -> None:
    today = LIKES | {(151, item): 1.0 for item in (1, 5, 23)}
    factors, history, final = fit(today, iterations=0, start_from="previous", earlier=reference[0])
    assert history == []
    assert_same({"item": reference[0]["item"], "user": {}}, {"item": factors["item"], "user": {}})
    items = np.array(list(factors["item"].values()))
    values = np.array([[today.get((151, item), 0.0) for item in factors["item"]]])
    expected = solve(items, 1 + ALPHA * values, (values > 0) * 1.0, np.array([REG * 3]))
    np.testing.assert_allclose(factors["user"][151], expected[0], atol=1e-4)
    seen = [
        (today[user, item], factors["user"][user] @ factors["item"][item]) for user, item in today
    ]
    assert final.keys() == {"observed", "unobserved"}
    assert final["observed"] == pytest.approx(
        sum((1 + ALPHA * value) * (1 - score) ** 2 for value, score in seen), rel=1e-4
    )


def planted(seed: int, num_users: int = 80, num_items: int = 40) -> dict[tuple[int, int], float]:
    """Ratings from two factors, a bias a side, and noise."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (num_users, 2)) @ rng.normal(0, 0.7, (2, num_items)) + rng.normal(
        0, 0.4, (num_users, num_items)
    )
    scores += 3 + rng.normal(0, 1, (num_users, 1)) + rng.normal(0, 1, num_items)
    return {
        (int(u), int(i)): float(scores[u, i])
        for u, i in np.argwhere(rng.random(scores.shape) < 0.4)
    }


def test_validation_stops_early_and_keeps_the_best_iteration(fit: Fit) -> None:
    """Ratings are noise: the sooner training ends, the better."""
    rng = np.random.default_rng(7)
    noise = {
        (int(user), int(item)): float(rng.normal(3, 1))
        for user, item in np.argwhere(rng.random((80, 40)) < 0.4)
    }
    settings = {
        "implicit": False,
        "biases": True,
        "reg_param": 0.05,
        "solver": "cholesky",
    }
    training, withheld = parted(noise, 5)
    _, history, final = fit(training, iterations=12, patience=2, withheld=withheld, **settings)
    errors = [row["rmse"] for row in history]
    best = int(np.argmin(errors))
    assert len(errors) == best + 1 + 2 < 12
    assert final["loss"] == pytest.approx(history[best]["loss"], rel=1e-3)
    assert final["loss"] > history[-1]["loss"]


def test_the_validation_error_is_that_of_the_withheld_ratings(fit: Fit) -> None:
    training, withheld = parted(planted(2), 12)
    factors, history, _ = fit(
        training,
        implicit=False,
        iterations=2,
        withheld=withheld,
        solver="cholesky",
        biases=True,
        seed=3,
    )
    held = [(*pair, value) for pair, value in withheld.items()]
    errors = [factors["user"][user] @ factors["item"][item] - value for user, item, value in held]
    assert history[-1]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-4)


@pytest.mark.parametrize("exchange", ["broadcast", "shuffle"])
def test_what_only_withheld_ratings_name_is_predicted_as_nothing(fit: Fit, exchange: str) -> None:
    """The one rating for validation is of a user and an item without others."""
    factors, history, _ = fit(
        planted(2), implicit=False, iterations=1, exchange=exchange, withheld={(200, 90): 4.0}
    )
    assert 200 not in factors["user"] and 90 not in factors["item"]
    assert history[-1]["rmse"] == pytest.approx(4)


def test_users_who_rated_every_item_are_nobody_to_measure_by(fit: Fit) -> None:
    everything = {(user, item): 1.0 for user in range(20) for item in range(6)}
    with pytest.raises(DataError, match="have rated every item"):
        training, withheld = parted(everything, 5)
        fit(training, iterations=1, withheld=withheld)


def test_the_auc_of_a_model_that_knows_the_groups_is_high_and_is_reported(fit: Fit) -> None:
    rng = np.random.default_rng(5)
    groups = {
        (user, int(item)): 1.0
        for user in range(60)
        for item in user % 2 + 2 * rng.choice(20, 8, replace=False)
    }
    training, withheld = parted(groups, 5)
    _, history, _ = fit(training, rank=2, iterations=4, withheld=withheld)
    assert 0.7 < history[-1]["auc"] <= 1


def test_biases_are_published_within_factors(fit: Fit) -> None:
    """The dot product of what is published is the whole prediction, mean and biases in it."""
    ratings = planted(4)
    factors, _, _ = fit(
        ratings,
        implicit=False,
        rank=1,
        iterations=6,
        biases=True,
        reg_param=0.02,
        solver="cholesky",
    )
    assert {len(vector) for side in factors.values() for vector in side.values()} == {3}
    predicted = np.array([factors["user"][user] @ factors["item"][item] for user, item in ratings])
    values = np.array(list(ratings.values()))
    error = np.sqrt(np.mean((predicted - values) ** 2))
    assert error < 0.55 * values.std()  # one factor of two, and noise


@pytest.mark.parametrize(
    ("ratings", "error", "words"),
    [
        ({}, EmptyDatasetError, "no ratings"),
        (
            {(1, 1): 1.0, (2, 1): float("nan"), (3, 1): float("inf")},
            DataError,
            "2 values are NaN or infinite",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(
    fit: Fit, ratings: dict[tuple[int, int], float], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        fit(ratings)


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_a_pair_that_occurs_twice_is_refused(flow: Flow, tmp_path: Path) -> None:
    again = table_of({(0, 23): 1.0, (3, 23): 1.0})
    twice = given(flow, pa.concat_tables([table_of(LIKES), again]))
    with pytest.raises(DataError, match=r"2 of [\d,]+ rows repeat a pair"):
        als_fit.fit(flow, twice, AlsConfig(), True, tmp_path, tmp_path)


def test_one_rating_alone_and_a_rank_above_all_rows_give_finite_factors(fit: Fit) -> None:
    for implicit in (True, False):
        factors, _, final = fit({(5, 2): 3.0}, implicit=implicit, rank=8, iterations=4)
        assert {side: list(rows) for side, rows in factors.items()} == {"user": [5], "item": [2]}
        assert np.isfinite(final["loss"])
        assert np.isfinite(factors["user"][5]).all()
        assert 0 < factors["user"][5] @ factors["item"][2] <= 3
