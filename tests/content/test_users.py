"""People of whom it is known what they are interested in, and nothing that they have rated: a
pipeline whose users like what their groups like.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Content
from emberline.errors import EmptyDatasetError
from emberline.runs import runner
from emberline.runs.runner import Outcome
from emberline.serving.lookup import is_known, recommendations_of

Row = dict[str, Any]
Read = Callable[[str], pa.Table]
GROUPS, USERS, NEW, ITEMS = 4, 320, 12, 60
RNG = np.random.default_rng(5)
PIPELINE = """
[ratings]
path = "log.csv"
value = "one"
columns = {{ user_id = "user", item_id = "item" }}
[split]
by = "fraction"
fraction = 0.2
cold_users = 0.2
[attributes.users]
path = "people.csv"
columns = {{ id = "user", tags = "likes", label = "town" }}
[als]
rank = 8
[content]
landmarks = 40
[recommend]
top_k = 5
{recommend}
[evaluate]
k = [5]
[spark]
engine = "here"
master = "local[2]"
"""


def group_of(user: int) -> int:
    return user % GROUPS


def write_shop(folder: Path) -> None:
    """Each buys twelve items, nearly all of them their group's; towns say nothing."""
    log = ["user,item"]
    for user in range(USERS):
        weights = np.where(np.arange(ITEMS) % GROUPS == group_of(user), 10.0, 0.4)
        bought = RNG.choice(ITEMS, 12, replace=False, p=weights / weights.sum())
        log += [f"u{user},i{item}" for item in bought]
    people = [f"u{n},style {group_of(n)},{RNG.choice(['A', 'B'])}" for n in range(USERS)]
    people += [f"new{n},style {group_of(n)},A" for n in range(NEW)]
    (folder / "log.csv").write_text("\n".join(log))
    (folder / "people.csv").write_text("\n".join(["user,likes,town", *people]))
    (folder / "some.csv").write_text("user_id\nu0\nnew1\nnobody\n")


def run_in(folder: Path, root: Path, recommend: str = "") -> list[Outcome]:
    (folder / "pipeline.toml").write_text(PIPELINE.format(recommend=recommend))
    config = pipelines.load(folder / "pipeline.toml")
    return runner.run(config, root, stages.select(config))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people")
    write_shop(folder)
    run_in(folder, folder / "root")
    return folder


def rows_of(shop: Path, name: str) -> list[Row]:
    dataset = manifests.load(shop / "root", name)
    found: list[Row] = pa.concat_tables([pq.read_table(path) for path in dataset.paths]).to_pylist()
    return found


def names_of(shop: Path, side: str) -> dict[int, str]:
    tables = ("users", "user_attributes") if side == "user" else ("items",)
    return {row[side]: row[f"{side}_id"] for name in tables for row in rows_of(shop, name)}


def test_users_are_withheld_whole_by_hash_and_all_others_keep_most_of_theirs(shop: Path) -> None:
    trained = {row["user"] for row in rows_of(shop, "ratings")}
    withheld: dict[int, int] = {}
    for row in rows_of(shop, "holdout"):
        withheld[row["user"]] = withheld.get(row["user"], 0) + 1
    cold = withheld.keys() - trained
    assert all(withheld[user] == 12 for user in cold)
    assert all(withheld[user] == 2 for user in withheld.keys() - cold)
    assert len(cold) + len(trained) == USERS
    assert 0.1 < len(cold) / USERS < 0.3


def test_what_is_known_of_users_proves_itself_and_what_says_nothing_does_not(shop: Path) -> None:
    facts = manifests.load(shop / "root", "content_user_factors").manifest.facts(Content)
    assert {str(proof["modality"]) for proof in facts.proofs if proof["is_used"]} == {"tags"}
    assert facts.area > 0.7
    predicted = rows_of(shop, "content_user_factors")
    assert {row["model"] for row in predicted} == {"content-user"}
    assert len(predicted) == USERS + NEW


def test_lists_are_made_from_users_who_are_held_to_what_is_known_of_them(shop: Path) -> None:
    """The nearer the fewer ratings: nobody has many here."""
    predicted, own, held = (
        {row["user"]: np.array(row["factors"]) for row in rows_of(shop, name)}
        for name in ("content_user_factors", "user_factors", "blended_user_factors")
    )
    assert own.keys() == held.keys()
    before, after = (
        np.mean([np.linalg.norm(each[user] - predicted[user]) for user in own])
        for each in (own, held)
    )
    assert 0.2 * before < after < 0.9 * before


def test_users_known_by_attributes_alone_get_what_their_group_likes(shop: Path) -> None:
    users, items = names_of(shop, "user"), names_of(shop, "item")
    lists: dict[str, list[Row]] = {}
    for row in rows_of(shop, "recommendations"):
        lists.setdefault(users[row["user"]], []).append(row)
    assert len(lists) == USERS + NEW
    for number in range(NEW):
        mine = lists[f"new{number}"]
        assert {row["model"] for row in mine} == {"content-user"} and len(mine) == 5
        of_group = [int(items[row["item"]][1:]) % GROUPS == group_of(number) for row in mine]
        assert sum(of_group) >= 4
    assert {row["model"] for user, mine in lists.items() if user[0] == "u" for row in mine} <= {
        "als",
        "popular",
    }


def test_whoever_asks_for_somebody_known_by_attributes_gets_that_list(shop: Path) -> None:
    root = shop / "root"
    assert is_known(root, "new3") and not is_known(root, "nobody")
    found = recommendations_of(root, "new3", 5)
    assert [row.model for row in found] == ["content-user"] * 5
    assert {row.model for row in recommendations_of(root, "nobody", 3)} == {"popular"}


def test_lists_of_people_withheld_whole_are_measured_apart_and_beat_what_is_popular(
    shop: Path,
) -> None:
    (path,) = manifests.load(shop / "root", "metrics").paths
    reports = json.loads(path.read_text())["reports"]
    found = {
        row["model"]: row for row in reports["cold users"]["metrics"] if row["metric"] == "ndcg@5"
    }
    trained = {row["user"] for row in rows_of(shop, "ratings")}
    cold = {row["user"] for row in rows_of(shop, "holdout")} - trained
    assert found["content-user"]["users"] == len(cold)
    best, popular = found["content-user"], found["most-popular"]
    error = np.hypot(best["standard_error"], popular["standard_error"])
    assert best["value"] - popular["value"] > 2 * error
    warm = next(row for row in reports["holdout"]["metrics"] if row["metric"] == "ndcg@5")
    assert warm["users"] == len({row["user"] for row in rows_of(shop, "holdout")} - cold)
    assert reports["holdout"]["protocol"]["holdout"]["cold_users"] == 0.2


def test_a_file_of_users_says_who_gets_a_list(shop: Path) -> None:
    outcome = run_in(shop, shop / "root", 'users = "some.csv"')
    (recommend,) = (one for one in outcome if one.stage.name == "recommend")
    assert recommend.metrics["users"] == {"ids": 3, "unknown": 1}
    users = names_of(shop, "user")
    assert {users[row["user"]] for row in rows_of(shop, "recommendations")} == {"u0", "new1"}
    assert [one.stage.name for one in outcome if one.action == "run"] == ["recommend"]
    (shop / "none.csv").write_text("user_id\nnobody\n")
    with pytest.raises(
        EmptyDatasetError, match=r"nobody gets a list: recommend\.users .*none\.csv"
    ):
        run_in(shop, shop / "root", 'users = "none.csv"')


@pytest.mark.faults
def test_both_engines_learn_the_same_of_users(shop: Path, spark: object, tmp_path: Path) -> None:
    (shop / "pipeline.toml").write_text(PIPELINE.format(recommend=""))
    told = ["spark.engine=spark", f"base={shop / 'root'}"]
    config = pipelines.load(shop / "pipeline.toml", told)
    runner.run(config, tmp_path / "root", stages.select(config, "train-content"), force=True)
    tables = [
        pa.concat_tables(
            [pq.read_table(path) for path in manifests.load(root, "content_user_factors").paths]
        ).sort_by("user")
        for root in (shop / "root", tmp_path / "root")
    ]
    assert tables[0]["user"].equals(tables[1]["user"])
    left, right = (np.array(table["factors"].to_pylist()) for table in tables)
    np.testing.assert_allclose(left, right, atol=1e-3)
    assert pc.all(pc.equal(tables[0]["model"], tables[1]["model"])).as_py()
