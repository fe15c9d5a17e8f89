"""Items that nobody has bought, of which named columns tell who likes them: a pipeline in which a
fifth of the items is withheld whole, and competes with all others in one list.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Content
from emberline.runs import runner

Row = dict[str, Any]
KINDS, USERS, ITEMS, BOUGHT = 6, 300, 240, 24
RNG = np.random.default_rng(6)
PIPELINE = """
[ratings]
path = "log.csv"
value = "one"
columns = { user_id = "user", item_id = "item" }
[split]
by = "fraction"
fraction = 0.2
cold_items = 0.2
[attributes.items]
path = "items.csv"
columns = { id = "item" }
lists = { themes = "about" }
categories = ["maker"]
numbers = ["price"]
[als]
rank = 12
[content]
landmarks = 60
[recommend]
top_k = 10
calibrate = true
[explain]
[evaluate]
k = [10]
[spark]
engine = "here"
"""


def write_shop(folder: Path) -> None:
    """Nearly all that somebody buys is of two kinds; an item's themes tell its kind, of two items
    in three, its maker the half of it, and its price nothing.
    """
    kinds = RNG.integers(0, KINDS, ITEMS)
    log, items = ["user,item"], ["item,about,maker,price"]
    popular = RNG.uniform(0.5, 2, ITEMS)
    for user in range(USERS):
        liked = RNG.choice(KINDS, 2, replace=False)
        weights = np.where(np.isin(kinds, liked), 8.0, 0.3) * popular
        bought = RNG.choice(ITEMS, BOUGHT, replace=False, p=weights / weights.sum())
        log += [f"u{user},i{item}" for item in bought]
    for item, kind in enumerate(kinds):
        words = [f"theme {kind}", f"theme {kind}{RNG.integers(3)}"] if item % 3 else []
        maker = f"maker {kind // 2}{RNG.integers(2)}"
        items.append(f"i{item},{'|'.join(words)},{maker},{RNG.uniform(1, 9):.2f}")
    (folder / "log.csv").write_text("\n".join(log))
    (folder / "items.csv").write_text("\n".join(items))
    (folder / "pipeline.toml").write_text(PIPELINE)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("new")
    write_shop(folder)
    config = pipelines.load(folder / "pipeline.toml")
    runner.run(config, folder / "root", stages.select(config))
    return folder / "root"


@pytest.fixture(scope="module")
def reports(root: Path) -> dict[str, Any]:
    (path,) = manifests.load(root, "metrics").paths
    found: dict[str, Any] = json.loads(path.read_text())["reports"]
    return found


def rows_of(root: Path, name: str) -> list[Row]:
    dataset = manifests.load(root, name)
    found: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    return found


def values(report: Row, metric: str) -> dict[str, float]:
    return {row["model"]: row["value"] for row in report["metrics"] if row["metric"] == metric}


def test_named_columns_prove_themselves_and_one_that_says_nothing_does_not(root: Path) -> None:
    facts = manifests.load(root, "content_factors").manifest.facts(Content)
    used = {str(proof["modality"]) for proof in facts.proofs if proof["is_used"]}
    assert any("themes" in modality for modality in used)
    assert not any("price" in modality for modality in used)


def test_calibrated_lists_hold_more_of_what_is_liked_new_and_rated_items_together(
    root: Path, reports: dict[str, Any]
) -> None:
    """Than those whose scores are compared as they are, by which new items are hardly listed."""
    mixed, lists = reports["mixed lists"], rows_of(root, "holdout_recommendations")
    (listed,), (wanted,) = (
        values(mixed, name).values() for name in ("new@10", "new among withheld")
    )
    holdout = rows_of(root, "holdout")
    assert wanted == pytest.approx(np.mean([row["cold"] for row in holdout]))
    assert listed == pytest.approx(np.mean([row["model"] == "content" for row in lists]))
    given = ["recommend.calibrate=false", f"base={root}"]
    plain = pipelines.load(root.parent / "pipeline.toml", given)
    runner.run(plain, root.parent / "plain", stages.select(plain, "recommend-holdout"))
    others = rows_of(root.parent / "plain", "holdout_recommendations")
    assert listed > 0.3 > np.mean([row["model"] == "content" for row in others])
    liked = {(row["user"], row["item"]) for row in holdout}
    hits, before = (
        np.mean([(row["user"], row["item"]) in liked for row in some]) for some in (lists, others)
    )
    assert hits > 1.2 * before


def test_scores_fall_along_a_list_whatever_model_a_place_is_by(root: Path) -> None:
    lists: dict[int, list[Row]] = {}
    for row in sorted(rows_of(root, "holdout_recommendations"), key=lambda row: row["rank"]):
        lists.setdefault(row["user"], []).append(row)
    both = [rows for rows in lists.values() if {row["model"] for row in rows} == {"als", "content"}]
    assert len(both) > USERS / 5
    for rows in both:
        scores = [row["score"] for row in rows]
        assert scores == sorted(scores, reverse=True)


def test_what_is_known_is_measured_without_each_column_and_beside_permuted_items(
    reports: dict[str, Any],
) -> None:
    cold = reports["cold items"]
    areas, above = values(cold, "auc"), values(cold, "auc z")
    assert areas["content"] > areas["content-without-themes"] + 0.05
    assert above["content"] > 5 and above["content"] > above["content-without-themes"]
    assert "content-without-price" not in areas
    assert above.keys() <= areas.keys() and "random" not in above  # its scores are all the same


def test_reasons_by_columns_add_up_to_no_more_than_the_score(root: Path) -> None:
    """New items' scores are what all columns add, and something that is the same for all."""
    scores = {(row["user"], row["item"]): row["score"] for row in rows_of(root, "recommendations")
              if row["model"] == "content"}  # fmt: skip
    reasons = [row for row in rows_of(root, "reasons") if row["kind"] == "attribute"]
    found = {(row["user"], row["item"]) for row in reasons}
    assert found <= scores.keys()
    assert all(row["attribute"] in ("themes", "maker", "price") or " x " in row["attribute"]
               for row in reasons)  # fmt: skip
