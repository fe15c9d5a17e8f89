"""Simple predictors of cold items' factors, beside loops and dense systems of equations."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.flows import given, rows_of

from emberline import stages
from emberline.baselines.neighbors import neighbor_means
from emberline.baselines.oracle import oracle
from emberline.baselines.regression import regressions
from emberline.cf.kernels import Landmarks
from emberline.cf.plain import KNOWN, Inputs
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.schema import TABLES
from emberline.flow.rows import Flow, Rows
from emberline.runs.inputs import Inputs as RunInputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import begin
from emberline.sections.als import AlsConfig
from emberline.sections.config import Config

Row = dict[str, Any]
Factors = dict[int, np.ndarray]
RNG = np.random.default_rng(7)


def vectors(ids: list[int], rank: int) -> Factors:
    return {id_: RNG.standard_normal(rank).astype(np.float32) for id_ in ids}


TRAIN, VAL, COLD = list(range(0, 60, 2)), list(range(1, 40, 2)), list(range(100, 108))
WIDTH, RANK = 6, 3
PIXELS = {item: RNG.random(WIDTH).astype(np.float32) for item in [*TRAIN, *VAL, *COLD]}
_WEIGHTS = RNG.standard_normal((WIDTH, RANK))
WARM = {
    item: (PIXELS[item] @ _WEIGHTS + 5 + RNG.standard_normal(RANK)).astype(np.float32)
    for item in [*TRAIN, *VAL]
}
RATINGS = {item: int(RNG.integers(0, 200)) for item in WARM}
# items of many ratings weigh more; one without any has been learnt by an earlier run
SHARES = {item: max(count, 1) / (max(count, 1) + 20) for item, count in RATINGS.items()}


def direction(pixels: np.ndarray) -> np.ndarray:
    centred = pixels - pixels.mean()
    unit: np.ndarray = centred / np.linalg.norm(centred)
    return unit


def unit(pixels: np.ndarray) -> np.ndarray:
    long: np.ndarray = (pixels / np.linalg.norm(pixels)).astype(np.float32)
    return long


@pytest.fixture
def known(flow: Flow) -> Rows:
    """All pictures; of the cold ones one has factors, which nobody may look at."""
    splits = dict.fromkeys(TRAIN, "train") | dict.fromkeys(VAL, "val") | dict.fromkeys(COLD, "test")
    rows = [
        {
            "id": item,
            "split": splits[item],
            "pixels": pixels,
            "pixel_direction": direction(pixels),
            "colours": unit(pixels),
            "factors": WARM.get(item, np.ones(RANK) if item == COLD[0] else None),
            "ratings": RATINGS.get(item, 0),
        }
        for item, pixels in PIXELS.items()
    ]
    return rows_of(flow, pa.Table.from_pylist(rows, KNOWN), 3)


def collected(found: Rows, model: str | None = None) -> Factors:
    rows = [row for row in found.table().to_pylist() if model is None or row["model"] == model]
    assert len({row["item"] for row in rows}) == len(rows)
    return {row["item"]: np.array(row["factors"]) for row in rows}


def assert_near(found: Factors, expected: Factors, tolerance: float = 1e-4) -> None:
    assert found.keys() == expected.keys()
    for item, factors in expected.items():
        np.testing.assert_allclose(found[item], factors, atol=tolerance, err_msg=str(item))


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_neighbours_lend_the_mean_of_their_factors(known: Rows) -> None:
    expected = {}
    for item in COLD:
        likeness = {
            other: float(direction(PIXELS[item]) @ direction(PIXELS[other])) for other in WARM
        }
        nearest = sorted(likeness, key=lambda other: -likeness[other])[:10]
        expected[item] = np.mean([WARM[other] for other in nearest], axis=0)
    assert_near(collected(neighbor_means(known, "pixel_direction", "near")), expected)


def best_of(inputs: dict[int, np.ndarray], strengths: list[float]) -> dict[int, np.ndarray]:
    """Factors of the cold items by weighted least squares, of the strength that validates best."""

    def rows(items: list[int]) -> tuple[np.ndarray, ...]:
        x, y = (
            np.array([inputs[item] for item in items], float),
            np.array([WARM[item] for item in items], float),
        )
        return x, y, np.array([SHARES[item] for item in items])[:, None]

    x, y, share = rows(TRAIN)
    held_x, held_y, held_share = rows(VAL)
    width = x.shape[1]
    fits = {}
    for strength in strengths:  # penalties as rows of zeros to be met, after centring
        size = np.sqrt(strength * np.trace((x * share).T @ x) / width)
        centre, level = ((values * share).sum(axis=0) / share.sum() for values in (x, y))
        left = np.vstack([(x - centre) * np.sqrt(share), size * np.eye(width)])
        goals = np.vstack([(y - level) * np.sqrt(share), np.zeros((width, RANK))])
        fits[strength] = partial(
            lambda new, w, c, m: (new - c) @ w + m,
            w=np.linalg.lstsq(left, goals)[0],
            c=centre,
            m=level,
        )
    best = min(
        fits, key=lambda strength: (held_share * (fits[strength](held_x) - held_y) ** 2).sum()
    )
    assert best not in (strengths[0], strengths[-1])
    return {item: fits[best](inputs[item]) for item in COLD}


def test_regressed_factors_are_of_weighted_least_squares_with_the_strength_that_validates_best(
    known: Rows,
) -> None:
    landmarks = np.array([unit(PIXELS[item]) for item in TRAIN[:12]])
    inputs = {"linear": Inputs("pixels"), "kernel": Inputs("colours", Landmarks.of(landmarks))}
    found = regressions(known, inputs, RANK).kept()

    values, vectors = np.linalg.eigh(np.exp(-(1 - landmarks @ landmarks.T) / 0.15))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    like = {
        item: np.exp(-(1 - landmarks @ unit(row)) / 0.15) @ root for item, row in PIXELS.items()
    }
    strengths = [10.0 ** (half / 2) for half in range(-6, 7)]
    for model, rows in (("linear", PIXELS), ("kernel", like)):
        assert_near(collected(found, model), best_of(rows, strengths), 1e-3)


RATERS = vectors(list(range(0, 40, 2)), RANK)
HELD = [
    {"user": user, "item": item, "value": float(RNG.integers(1, 6)), "cold": True}
    for item in COLD
    for user in sorted(RNG.choice(range(45), 6 + item % 5, replace=False).tolist())
]
ALS: Row = {"reg_param": 0.3, "alpha": 2.5, "rank": RANK}


@pytest.mark.parametrize(
    ("setting", "value", "confidence"),
    [
        ("linear", "one", "linear"),
        ("log", "rating", "log"),
        ("exp", "count", "exp"),
        ("auto", "count", "log"),
        ("auto", "rating", "exp"),
    ],
)
def test_the_oracle_solves_the_normal_equations_of_the_fit_whatever_the_file_at_hand_says(
    flow: Flow, setting: str, value: str, confidence: str
) -> None:
    """What a rating is worth to "exp" is measured by those in training, here of mean 2 and
    deviation 1.5.
    """
    fitted = AlsConfig.model_validate(ALS | {"confidence": setting})
    at_hand = {"rank": RANK, "reg_param": 9.0, "alpha": 7.0, "confidence": "linear"}
    config = Config.model_validate({"als": at_hand})
    trained = Manifest(
        "user_factors",
        "table",
        [],
        0,
        [],
        ProducedBy("train-als", "", "", fitted.what()),
        info={"value_mean": 2.0, "value_deviation": 1.5},
    )
    split = ProducedBy("split-ratings", "", "", {})
    said = {"cleaning": {"value": value}}
    ratings = Manifest("ratings", "table", [], 0, [], split, info=said)
    inputs = RunInputs(
        {
            "user_factors": Dataset(Path("unused"), trained),
            "ratings": Dataset(Path("unused"), ratings),
        }
    )
    run = begin(config, stages.select(config)[0], Roots(Path("unused")), inputs)
    warm = {"user": 0, "item": 1, "value": 3.0, "cold": False}
    holdout = given(flow, pa.Table.from_pylist([*HELD, warm], TABLES["holdout"]))
    raters = [{"user": user, "factors": factors} for user, factors in RATERS.items()]
    users = given(flow, pa.Table.from_pylist(raters, TABLES["user_factors"]))
    found = oracle(run, flow, users, holdout)
    assert found is not None
    y = np.array(list(RATERS.values()), float)
    expected = {}
    for item in COLD:
        values = {row["user"]: row["value"] for row in HELD if row["item"] == item}
        r = np.array([values.get(user, 0.0) for user in RATERS])
        rated = r > 0
        worth = {"linear": r, "log": np.log1p(r), "exp": np.exp((r - 2) / 1.5) * rated}[confidence]
        c, p = 1 + ALS["alpha"] * worth, rated.astype(float)
        a = y.T @ np.diag(c) @ y + ALS["reg_param"] * rated.sum() * np.eye(RANK)
        expected[item] = np.linalg.inv(a) @ y.T @ np.diag(c) @ p
    assert_near(collected(found), expected)
