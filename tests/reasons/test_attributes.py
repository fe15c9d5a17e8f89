"""explain where new items are listed by what is said of them, and new people by what is known of
them: a shop whose people like what has their own style.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Compared
from emberline.flow.here import Here
from emberline.runs import runner
from emberline.scoring import content_model
from emberline.serving.because import because
from emberline.serving.lookup import recommendations_of

Row = dict[str, Any]
STYLES, USERS, NEW_USERS, ITEMS, NEW_ITEMS = 4, 200, 5, 160, 8
RANK, PRIOR = 6, 65.0
WORDS = ["calm", "deep", "fine", "grey", "hard"]
PIPELINE = """
[ratings]
path = "log.csv"
value = "one"
columns = { user_id = "user", item_id = "item" }
[attributes.items]
path = "items.csv"
columns = { id = "item", title = "title", genres = "kinds" }
[attributes.users]
path = "people.csv"
columns = { id = "user", tags = "likes" }
[als]
rank = 6
[content]
landmarks = 50
[recommend]
top_k = 6
cold_share = 0.3
[explain]
top = 20
min_support = 1
[spark]
engine = "here"
"""


def write_shop(folder: Path) -> None:
    rng = np.random.default_rng(8)
    log, items = ["user,item"], ["item,title,kinds"]
    people = ["user,likes"]
    for user in range(USERS):
        weights = np.where(np.arange(ITEMS) % STYLES == user % STYLES, 12.0, 0.3)
        bought = rng.choice(ITEMS, 14, replace=False, p=weights / weights.sum())
        log += [f"u{user},i{item}" for item in bought]
    for item in range(ITEMS + NEW_ITEMS):
        words = " ".join(rng.choice(WORDS, 2, replace=False))
        items.append(f"i{item},{words} style{item % STYLES},Kind {item % STYLES}|all")
    people += [f"u{n},style {n % STYLES}|{rng.choice(WORDS)}" for n in range(USERS + NEW_USERS)]
    for name, lines in (("log", log), ("items", items), ("people", people)):
        (folder / f"{name}.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("styles")
    write_shop(folder)
    (folder / "pipeline.toml").write_text(PIPELINE)
    config = pipelines.load(folder / "pipeline.toml")
    runner.run(config, folder / "root", stages.select(config))
    return folder / "root"


def rows_of(root: Path, name: str) -> list[Row]:
    dataset = manifests.load(root, name)
    found: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    return found


def factors_of(root: Path, name: str, side: str) -> dict[int, np.ndarray]:
    return {row[side]: np.array(row["factors"], float) for row in rows_of(root, name)}


@pytest.mark.parametrize(
    ("side", "kept", "other", "model", "word"),
    [
        ("item", "content_landmarks", "user", "content", "Kind"),
        ("user", "content_user_landmarks", "item", "content-user", "style"),
    ],
)
def test_what_is_said_and_the_mean_add_up_to_the_score_and_the_word_is_the_one_that_matters(
    root: Path, side: str, kept: str, other: str, model: str, word: str
) -> None:
    """One modality has proved itself; the other words of it say nothing."""
    others = {
        row[other]: np.array(row["factors"], float)
        for row in rows_of(root, f"blended_{other}_factors")
    }
    mean = np.array(manifests.load(root, kept).manifest.facts(Compared).mean_factors)
    told = {
        (row["user"], row["item"]): row
        for row in rows_of(root, "reasons")
        if row["kind"] == "attribute"
    }
    listed = [row for row in rows_of(root, "recommendations") if row["model"] == model]
    names = {row[side]: row for row in rows_of(root, f"{side}_attributes")}
    assert len(listed) >= NEW_USERS * 6
    for row in listed:
        reason = told[row["user"], row["item"]]
        assert reason["past_item"] is None and reason["place"] == 1
        assert reason["contribution"] == reason["drop"] > 0
        expected = reason["contribution"] + float(mean @ others[row[other]])
        assert row["score"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
        number = int(names[row[side]][f"{side}_id"][1:]) % STYLES
        assert reason["word"] == f"{word} {number}"


def test_people_read_what_it_is_that_an_item_or_a_person_has(root: Path) -> None:
    new = recommendations_of(root, f"u{USERS + 2}", 6, why=True)
    assert [because(row.reasons, row.model) for row in new] == [
        f"for this person's tags (style {(USERS + 2) % STYLES})"
    ] * 6
    mixed = recommendations_of(root, "u1", 6, why=True)
    said = [one for row in mixed for one in row.reasons if one.kind == "attribute"]
    assert {because([one], "content") for one in said} == {"for its genres (Kind 1)"}
    both = next(row for row in mixed if row.model == "content")
    words = because(both.reasons, both.model, str.upper)
    assert words.startswith("because of ") and words.endswith(", and for its GENRES (KIND 1)")


def test_a_kept_model_predicts_what_the_stage_has_predicted(root: Path) -> None:
    """Of the tables alone; nothing of them is code."""
    with Here(1 << 30, 2) as flow:
        tables = (manifests.load(root, name) for name in ("content_landmarks", "content_tokens"))
        model = content_model.read(flow, *tables, "item")
        predicted = {row["item"]: row["factors"] for row in rows_of(root, "content_factors")}
        said = manifests.load(root, "item_attributes")
        table = pa.concat_tables([pq.read_table(path) for path in said.paths])
    (batch,) = table.combine_chunks().to_batches()
    found = model.predict(batch)
    expected = np.array([predicted[item] for item in batch["item"].to_pylist()])
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_items_of_few_ratings_are_near_to_what_is_said_of_them_and_lists_are_made_of_these(
    root: Path,
) -> None:
    """Beside the equations of each item, from the users' factors as train-als
    has them.
    """
    users, plain, held, said = (
        {row[side]: np.array(row["factors"], float) for row in rows_of(root, name)}
        for name, side in (
            ("user_factors", "user"),
            ("item_factors", "item"),
            ("blended_item_factors", "item"),
            ("content_factors", "item"),
        )
    )
    by: dict[int, list[int]] = {}
    for row in rows_of(root, "ratings"):
        by.setdefault(row["item"], []).append(row["user"])
    trained = manifests.load(root, "user_factors").manifest.produced_by.config
    every = np.array(list(users.values()))
    for item, raters in by.items():
        y = np.array([users[user] for user in raters])
        weight = 1 + trained["alpha"] * np.log1p(1.0)
        own = trained["reg_param"] * len(raters) ** trained["reg_exponent"]
        matrix = every.T @ every + (weight - 1) * y.T @ y + (own + PRIOR) * np.eye(RANK)
        expected = np.linalg.solve(matrix, weight * y.sum(axis=0) + PRIOR * said[item])
        np.testing.assert_allclose(held[item], expected, atol=2e-3)
    nearer = [
        np.linalg.norm(held[item] - said[item]) < np.linalg.norm(plain[item] - said[item])
        for item in by
    ]
    assert np.mean(nearer) > 0.95
    listed = [row for row in rows_of(root, "recommendations") if row["model"] == "als"]
    of_users = {
        row["user"]: np.array(row["factors"], float)
        for row in rows_of(root, "blended_user_factors")
    }
    for row in listed[:50]:
        score = float(of_users[row["user"]] @ held[row["item"]])
        assert row["score"] == pytest.approx(score, rel=1e-4, abs=1e-5)
