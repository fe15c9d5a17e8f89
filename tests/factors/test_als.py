"""The stage train-als: what its settings mean, and what it writes. The factors themselves are
test_als_fit's.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError
from emberline.runs import runner
from emberline.sections.config import Config

Factors = dict[int, np.ndarray]
Both = tuple[Factors, Factors]
Rating = tuple[int, int, float]
Fit = Callable[..., Both]


@pytest.fixture
def fit(spark: SparkSession, root: Path, publish: Callable[..., None]) -> Fit:
    """`fit(rated, raw, sections, **als)`: the factors that train-als writes; `raw` says what
    kind of ratings they are.
    """

    def fit_factors(
        rated: Iterable[Rating],
        raw: dict[str, Any] | None = None,
        sections: dict[str, Any] | None = None,
        side_tables: bool = True,
        **als: Any,
    ) -> Both:
        publish(
            root,
            "prepare-ratings",
            "ratings",
            [{"user": user, "item": item, "value": value} for user, item, value in rated],
            cleaning={"value": raw.get("value", "rating")} if raw else {},
        )
        config = Config.model_validate(
            {"als": {"blocks": 2} | als} | ({"ratings": raw} if raw else {}) | (sections or {})
        )
        runner.run(config, root, stages.select(config, "train-als"), force=True)
        return (factors_of(root, "user"), factors_of(root, "item")) if side_tables else ({}, {})

    return fit_factors


def factors_of(root: Path, side: str) -> Factors:
    table = pa.concat_tables(
        [pq.read_table(path) for path in manifests.load(root, f"{side}_factors").paths]
    )
    return dict(
        zip(
            table[side.removesuffix("_rating")].to_pylist(),
            (np.array(vector) for vector in table["factors"].to_pylist()),
            strict=True,
        )
    )


def same(left: Both, right: Both) -> bool:
    return all(
        one.keys() == other.keys() and all(np.array_equal(one[key], other[key]) for key in one)
        for one, other in zip(left, right, strict=True)
    )


FEW: list[Rating] = [
    (user, item, float(1 + (user * item) % 4))
    for user in range(0, 40, 4)
    for item in range(3, 30, 3)
]
STARS: list[Rating] = [
    (user, item, float(1 + user // 4 % 2 + 2 * (item % 2))) for user, item, _ in FEW
]
QUICK: dict[str, Any] = {"rank": 3, "iterations": 2}
RAW: dict[str, Any] = {
    "path": "",
    "columns": {"user_id": "user", "item_id": "item", "value": "value"},
}


def test_the_same_seed_gives_the_same_factors_of_the_length_rank(fit: Fit, root: Path) -> None:
    first = fit(FEW, **QUICK, seed=7)
    assert [side.keys() for side in first] == [
        {user for user, _, _ in FEW},
        {item for _, item, _ in FEW},
    ]
    assert {len(vector) for side in first for vector in side.values()} == {3}
    assert {manifests.load(root, f"{side}_factors").manifest.rank for side in ("user", "item")} == {
        3
    }
    assert same(fit(FEW, **QUICK, seed=7), first)
    assert not same(fit(FEW, **QUICK, seed=8), first)


def test_stars_get_factors_that_make_lists_and_others_that_predict_ratings(
    fit: Fit, root: Path
) -> None:
    """Those that predict are two numbers longer, for the biases: their products are near the
    ratings, the lists' are near 1.
    """
    stars = RAW | {
        "value": "rating",
        "columns": RAW["columns"] | {"timestamp": "t"},
    }
    split = {"by": "fraction", "fraction": 0.2}
    sections = {"split": split, "recommend": {}, "evaluate": {"k": (10,)}}
    users, items = fit(STARS, stars, sections, rank=3, ratings={"rank": 4}, iterations=8)
    predicting = [factors_of(root, f"{side}_rating") for side in ("user", "item")]
    assert {len(vector) for side in (users, items) for vector in side.values()} == {3}
    assert {len(vector) for side in predicting for vector in side.values()} == {6}
    assert {
        manifests.load(root, f"{side}_rating_factors").manifest.rank for side in ("user", "item")
    } == {6}
    errors = [predicting[0][user] @ predicting[1][item] - value for user, item, value in STARS]
    assert np.sqrt(np.mean(np.square(errors))) < 0.4
    assert np.mean([users[user] @ items[item] for user, item, _ in STARS]) == pytest.approx(
        1, abs=0.2
    )


@pytest.mark.parametrize(
    ("als", "value", "written"),
    [
        (
            {},
            "rating",
            ["user_factors", "item_factors", "user_rating_factors", "item_rating_factors"],
        ),
        ({}, "count", ["user_factors", "item_factors"]),
        ({"feedback": "implicit"}, "rating", ["user_factors", "item_factors"]),
    ],
)
def test_what_is_fitted_follows_from_the_values_unless_told(
    als: dict[str, Any], value: str, written: list[str]
) -> None:
    raw = RAW | {"value": value}
    split = {"by": "fraction", "fraction": 0.5}
    config = Config.model_validate(
        {"als": als, "ratings": raw, "split": split, "recommend": {}, "evaluate": {}}
    )
    assert list(stages.select(config, "train-als")[0].writes(config)) == written


def test_explicit_feedback_alone_predicts_ratings_and_makes_no_lists(fit: Fit, root: Path) -> None:
    fit(FEW, **QUICK, feedback="explicit", side_tables=False)
    assert not manifests.exists(root, "user_factors")
    assert factors_of(root, "user_rating").keys() == {user for user, _, _ in FEW}


def test_the_worth_of_a_rating_is_the_exponential_of_its_deviations_above_the_mean(
    fit: Fit,
) -> None:
    """As counts of that worth, with linear confidence."""
    values = np.array([value for _, _, value in STARS])
    worth = np.exp((values - values.mean()) / values.std())
    stars = fit(STARS, RAW | {"value": "rating"}, **QUICK)
    by_hand = fit(
        [(user, item, float(w)) for (user, item, _), w in zip(STARS, worth, strict=True)],
        **QUICK,
        confidence="linear",
    )
    for left, right in zip(stars, by_hand, strict=True):
        assert all(left[key] == pytest.approx(right[key], abs=1e-4) for key in right)


def test_folding_users_in_needs_factors_that_they_fit_to(fit: Fit) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"als.iterations = 0 keeps .* but there is no earlier run; train once with iterations"
        ),
    ):
        fit(FEW, rank=3, iterations=0, start_from="previous")
    fit(FEW, **QUICK)
    with pytest.raises(ConfigError, match=r"but they have rank = 3, wanted are rank = 4"):
        fit(FEW, rank=4, iterations=0, start_from="previous")


def test_alpha_multiplies_the_logarithm_of_one_plus_the_value(fit: Fit) -> None:
    """Half of alpha on twice the logarithm is the same confidence."""
    doubled = [(user, item, 2 * float(np.log1p(value))) for user, item, value in FEW]
    configured = fit(FEW, **QUICK, feedback="implicit", alpha=5.0, confidence="log")
    by_hand = fit(doubled, **QUICK, feedback="implicit", alpha=2.5, confidence="linear")
    for left, right in zip(configured, by_hand, strict=True):
        assert left.keys() == right.keys()
        assert all(left[key] == pytest.approx(right[key], abs=1e-5) for key in right)
