"""explain on small shops: what it says is what solving a user again without the event says, and
what people read of it.
"""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import pipelines, stages
from emberline.cf.als.objective import Objective
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError, DataError, ManifestError
from emberline.models import POPULAR
from emberline.runs import runner
from emberline.serving.because import because
from emberline.serving.lookup import recommendations_of

Row = dict[str, Any]
Publish = Callable[..., None]
USERS, ITEMS, RANK = 60, 30, 4
RNG = np.random.default_rng(2)
PIPELINE = """
[ratings]
path = "log.csv"
columns = {{ user_id = "user", item_id = "item", value = "n" }}
value = "count"
[split]
by = "fraction"
fraction = 0.2
{models}
[explain]
min_support = {min_support}
top = {top}
[spark]
engine = "here"
master = "local[2]"
"""
ALS = """
[als]
rank = 4
reg_param = 0.3
[recommend]
top_k = 5
"""
NEIGHBORS = """
[cosine]
[recommend]
model = "{model}"
top_k = 5
"""


def run_in(folder: Path, models: str, min_support: int = 1, top: int = 3) -> Path:
    """Each buys seven items of their half, and one that all but a few buy."""
    lines = ["user,item,n"]
    rng = np.random.default_rng(4)
    for user in range(USERS):
        half = np.arange(ITEMS - 1)[user % 2 :: 2]
        for item in rng.choice(half, 7, replace=False):
            lines.append(f"u{user},i{item},{rng.integers(1, 5)}")
    lines.append(f"u0,i{ITEMS - 1},2")  # nobody else has it
    (folder / "log.csv").write_text("\n".join(lines))
    text = PIPELINE.format(models=models, min_support=min_support, top=top)
    (folder / "p.toml").write_text(text)
    config = pipelines.load(folder / "p.toml")
    runner.run(config, folder / "root", stages.select(config))
    return folder / "root"


def rows_of(root: Path, name: str) -> list[Row]:
    dataset = manifests.load(root, name)
    found: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    return found


@pytest.fixture(scope="module")
def by_als(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_in(tmp_path_factory.mktemp("als"), ALS)


def solved(
    factors: dict[int, np.ndarray], history: dict[int, float], objective: Objective
) -> np.ndarray:
    """A user's factors, by the log confidence of counts."""
    y = np.array([factors[item] for item in history], float)
    e = 1 + objective.alpha * np.log1p(np.array(list(history.values())))
    every = np.array(list(factors.values()), float)
    matrix = every.T @ every + y.T @ np.diag(e - 1) @ y
    matrix += objective.reg_param * len(history) * np.eye(RANK)
    return np.linalg.solve(matrix, y.T @ e)


def test_a_drop_is_what_folding_the_user_in_without_the_event_says(by_als: Path) -> None:
    factors = {
        row["item"]: np.array(row["factors"]) for row in rows_of(by_als, "refitted_item_factors")
    }
    history: dict[int, dict[int, float]] = {}
    for row in rows_of(by_als, "interactions"):
        history.setdefault(row["user"], {})[row["item"]] = row["value"]
    trained = manifests.load(by_als, "user_factors").manifest.produced_by.config
    objective = Objective(True, trained["reg_param"], trained["reg_exponent"], trained["alpha"])
    told = rows_of(by_als, "reasons")
    assert len(told) > 500
    for row in told:
        own = history[row["user"]]
        left = {item: value for item, value in own.items() if item != row["past_item"]}
        change = solved(factors, own, objective) - solved(factors, left, objective)
        expected = float(factors[row["item"]] @ change)
        assert row["drop"] == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_every_place_of_a_list_has_its_reasons_in_their_order(by_als: Path) -> None:
    listed = {(row["user"], row["item"]) for row in rows_of(by_als, "recommendations")}
    found: dict[tuple[int, int], list[Row]] = {}
    for row in rows_of(by_als, "reasons"):
        found.setdefault((row["user"], row["item"]), []).append(row)
    assert found.keys() <= listed and len(found) > 0.9 * len(listed)
    for told in found.values():
        ordered = sorted(told, key=lambda row: row["place"])
        assert [row["place"] for row in ordered] == list(range(1, len(told) + 1))
        drops = [row["drop"] for row in ordered]
        assert drops == sorted(drops, reverse=True) and drops[-1] > 0


def test_what_few_have_chosen_is_never_named(tmp_path: Path) -> None:
    root = run_in(tmp_path, ALS, min_support=2)
    rare = {row["item"] for row in rows_of(root, "items") if row["item_id"] == f"i{ITEMS - 1}"}
    named = {row["past_item"] for row in rows_of(root, "reasons")}
    assert rare and not rare & named
    users = {row["user"] for row in rows_of(root, "users") if row["user_id"] == "u0"}
    assert {row["user"] for row in rows_of(root, "reasons")} >= users


@pytest.mark.parametrize("model", ["item-neighbors", "user-neighbors"])
def test_lists_of_neighbours_are_told_by_what_they_are_summed_of(
    tmp_path: Path, model: str
) -> None:
    root = run_in(tmp_path, NEIGHBORS.format(model=model), top=20)
    listed = {
        (row["user"], row["item"]): row["score"]
        for row in rows_of(root, "recommendations")
        if row["model"] == model
    }
    told = [row for row in rows_of(root, "reasons") if (row["user"], row["item"]) in listed]
    if model == "user-neighbors":
        assert {row["kind"] for row in told} == {"neighbor"}
        assert {row["past_item"] for row in told} == {None}  # nobody is named
        return
    sums: dict[tuple[int, int], float] = {}
    for row in told:
        assert row["contribution"] == row["drop"]
        sums[row["user"], row["item"]] = sums.get((row["user"], row["item"]), 0) + row["drop"]
    assert sums.keys() == listed.keys()
    for pair, total in sums.items():
        assert total == pytest.approx(listed[pair], rel=1e-4)


def test_people_read_why_by_the_titles_of_what_they_chose(by_als: Path) -> None:
    first, *_ = recommendations_of(by_als, "u1", 3, why=True)
    assert [reason.kind for reason in first.reasons] == ["event"] * len(first.reasons)
    names = [reason.past.shown for reason in first.reasons if reason.past]
    assert because(first.reasons, first.model).startswith(f"because of {names[0]}")
    stranger, *_ = recommendations_of(by_als, "nobody", 3, why=True)
    assert because(stranger.reasons, stranger.model) == "many chose it"
    assert because((), "als") == "by all that this person chose: nothing stands out"
    assert because((), POPULAR.name) == "many chose it"


def test_reasons_of_other_lists_than_those_there_are_refused(
    by_als: Path, publish: Publish
) -> None:
    with pytest.raises(DataError, match=r"there are no reasons in .*add a section \[explain\]"):
        recommendations_of(_without(by_als, "reasons"), "u1", 3, why=True)
    row = {"user": 1, "rank": 1, "item": 2, "score": 0.5, "model": "als"}
    other = _without(by_als, "recommendations")
    publish(other, "recommend", "recommendations", [row])
    with pytest.raises(ManifestError, match=r"reasons in .* not of the recommendations there now"):
        recommendations_of(other, "u1", 3, why=True)


def _without(root: Path, name: str) -> Path:
    copy = Path(tempfile.mkdtemp(dir=root.parent)) / "root"
    return Path(shutil.copytree(root, copy, ignore=shutil.ignore_patterns(name)))


def test_factors_that_may_not_be_negative_cannot_be_taken_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[explain\] takes a score apart"):
        run_in(tmp_path, ALS.replace("rank = 4", "rank = 4\nnonnegative = true"))
