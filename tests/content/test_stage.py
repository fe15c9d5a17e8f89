"""train-content on a shop in which genres, a year and words decide who likes what, and on others in
which nothing does.
"""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Content
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.serving.calibrations import calibration_of

Row = dict[str, Any]
Publish = Callable[..., None]
RNG = np.random.default_rng(11)
RANK, USERS, KINDS = 5, 80, 6
TRAINED, COLD = list(range(0, 600, 2)), list(range(601, 700))
WORDS = ["sea", "sand", "moon", "wood", "iron", "glass", "smoke"]
_KINDS = {item: int(RNG.integers(KINDS)) for item in [*TRAINED, *COLD]}
_CENTRES = RNG.normal(size=(KINDS, RANK)) * 1.5
TRUE = {
    item: (_CENTRES[kind] + 0.4 * RNG.normal(size=RANK)).astype(np.float32)
    for item, kind in _KINDS.items()
}
OF_USERS = RNG.normal(size=(USERS, RANK)).astype(np.float32)
SECTIONS: Row = {
    "ratings": {
        "path": "unread",
        "columns": {"user_id": "u", "item_id": "i"},
        "value": "one",
    },
    "attributes": {"items": {"path": "unread", "columns": {"id": "i", "genres": "g"}}},
    "als": {"rank": RANK},
    "content": {"landmarks": 60},
}

CONFIG = Config.model_validate(SECTIONS | {"spark": {"engine": "here"}})


def attributes(item: int) -> Row:
    """The kind stands in the genres, the title says nothing; of one item nothing is known."""
    nothing = item == COLD[-1]
    rng = np.random.default_rng(item)
    return {
        "item": item,
        "item_id": str(item),
        "title": None if nothing else " ".join(rng.choice(WORDS, 2)),
        "text": "word " * 200_000 if item == COLD[-2] else None,
        "genres": [] if nothing else [f"kind {_KINDS[item]}"],
        "tags": [],
        "numbers": [None if nothing else 1e300 if item == 4 else float(rng.normal())],
    }


def publish_shop(publish: Publish, root: Path, known: Callable[[int], Row] = attributes) -> None:
    scores = OF_USERS @ np.array([TRUE[item] for item in TRAINED]).T
    users, items = np.nonzero(scores > np.quantile(scores, 0.85, axis=1)[:, None])
    ratings = [
        {"user": int(user), "item": TRAINED[item], "value": 1.0}
        for user, item in zip(users, items, strict=True)
    ]
    publish(root, "split-ratings", "ratings", ratings, cleaning={"value": "one"})
    rows = [known(item) for item in [*TRAINED, *COLD]]
    publish(root, "prepare-items", "item_attributes", rows, numbers=["price"])
    trained = {item: TRUE[item] for item in TRAINED}
    for side, factors in (("user", dict(enumerate(OF_USERS))), ("item", trained)):
        name = f"{side}_factors"
        table = [{side: int(id_), "factors": row.tolist()} for id_, row in factors.items()]
        rows = pa.Table.from_pylist(table, TABLES[name])
        values = {"value_mean": 1.0, "value_deviation": 0.0}
        publish(root, "train-als", name, rows, config={"rank": RANK}, **values)
        whole = manifests.load(root, name).manifest
        manifests.commit(root, replace(whole, rank=RANK))


def predicted(root: Path, engine: str = "here") -> dict[int, np.ndarray]:
    config = Config.model_validate(SECTIONS | {"spark": {"engine": engine}})
    runner.run(config, root, stages.select(config, "train-content"), force=True)
    rows = pa.concat_tables(map(pq.read_table, manifests.load(root, "content_factors").paths))
    found = {row["item"]: np.array(row["factors"]) for row in rows.to_pylist()}
    assert len(found) == rows.num_rows and set(rows["model"].to_pylist()) == {"content"}
    return found


@pytest.fixture(scope="module")
def shop(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop")
    publish_shop(publish, root)
    return root


@pytest.fixture(scope="module")
def answers(shop: Path) -> dict[int, np.ndarray]:
    return predicted(shop)


def test_items_that_nobody_has_rated_are_near_what_their_kind_is(
    answers: dict[int, np.ndarray],
) -> None:
    """Of those of whom all is said; all others are in between."""
    assert answers.keys() == {*TRAINED, *COLD}
    for item in COLD[:-1]:
        distances = np.linalg.norm(_CENTRES - answers[item], axis=1)
        assert distances.argmin() == _KINDS[item]
    mean = np.mean([TRUE[item] for item in TRAINED], axis=0)
    assert np.linalg.norm(answers[COLD[-1]] - mean) < 0.5


def test_the_manifest_says_what_has_proved_itself(
    shop: Path, answers: dict[int, np.ndarray]
) -> None:
    content = manifests.load(shop, "content_factors").manifest.facts(Content)
    proofs = {proof["modality"]: proof for proof in content.proofs}
    assert content.proofs[0]["is_used"] and "genres" in content.proofs[0]["modality"]
    assert content.proofs[0]["gain"] > 0.15 and content.proofs[0]["z"] > 4
    assert not proofs["title"]["is_used"] and not proofs["price"]["is_used"]
    assert any("genres" in kernel for kernel in content.weights)
    assert content.area > 0.75


def test_factors_that_are_not_what_ratings_give_are_not_calibrated(
    shop: Path, answers: dict[int, np.ndarray]
) -> None:
    """Those of this shop are drawn, and the products of those folded in are far smaller."""
    assert calibration_of(manifests.load(shop, "content_factors").manifest) is None


def test_the_manifest_says_what_makes_new_items_compare_with_rated_ones(
    publish: Publish, tmp_path: Path
) -> None:
    publish_shop(publish, tmp_path)
    runner.run(CONFIG, tmp_path, stages.select(CONFIG, "train-als"), force=True)
    answers = predicted(tmp_path)
    calibration = calibration_of(manifests.load(tmp_path, "content_factors").manifest)
    assert calibration is not None and 0.25 < calibration.slope < 4
    # of a rated item a fifth of those who like it are still to come, of a new one all are
    assert calibration.offset > 0 and calibration.steepness > 0
    # of which nothing is known is the mean
    np.testing.assert_allclose(calibration.centre, answers[COLD[-1]], atol=1e-4)


@pytest.mark.faults
def test_both_engines_predict_the_same(
    spark: SparkSession, shop: Path, answers: dict[int, np.ndarray], tmp_path: Path
) -> None:
    other = predicted(Path(shutil.copytree(shop, tmp_path / "root")), "spark")
    assert other.keys() == answers.keys()
    for item, factors in answers.items():
        np.testing.assert_allclose(other[item], factors, atol=1e-4)


def test_where_nothing_says_anything_of_taste_nothing_is_predicted_and_a_warning_says_so(
    publish: Publish, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish_shop(publish, tmp_path, lambda item: attributes(item) | {"genres": []})
    with caplog.at_level(logging.WARNING):
        runner.run(CONFIG, tmp_path, stages.select(CONFIG, "train-content"))
    written = manifests.load(tmp_path, "content_factors")
    assert written.rows == 0 and written.manifest.rank == RANK
    content = written.manifest.facts(Content)
    assert content.weights == {} and not any(proof["is_used"] for proof in content.proofs)
    (warning,) = [line for line in caplog.messages if "attributes_unproven" in line]
    assert "title" in warning and "price" in warning


def test_attributes_that_tell_nothing_apart_are_an_error(publish: Publish, tmp_path: Path) -> None:
    publish_shop(
        publish,
        tmp_path,
        lambda item: attributes(item) | {"genres": ["x"], "title": "a film", "text": None,
                                         "numbers": [7.0]},
    )  # fmt: skip
    with pytest.raises(EmptyDatasetError, match="tell no item from another"):
        predicted(tmp_path)


def test_attributes_of_other_items_are_an_error(publish: Publish, tmp_path: Path) -> None:
    publish_shop(publish, tmp_path, lambda item: attributes(item) | {"item": item + 5000})
    with pytest.raises(EmptyDatasetError, match="none of item_attributes has factors"):
        predicted(tmp_path)
