"""What is published is made from everything, beside what was measured, which is made from the part
in training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.measures import reports_of
from emberline.models import LIST_MODELS, MODELS, refitted
from emberline.runs import runner
from emberline.sections.config import Config

Pairs = set[tuple[int, int]]

GROUPS, USERS, OLD, NEW = 2, 15, 10, 3  # of each group
RANK, REG_PARAM = 4, 0.1
MINE = ("recommend-holdout", "refit", "recommend")


def events() -> Iterator[str]:
    """Two groups, each with items of its own. A user has half of the old ones, bought in June, and
    in the first days of July all of the new ones but one.
    """
    for user in range(GROUPS * USERS):
        group, own = user % GROUPS, np.random.default_rng(user)
        for item in own.choice(OLD, OLD // 2, replace=False):
            yield f"u{user},old-{group}-{item},2024-06-{1 + (user + item) % 28:02}"
        for item in range(NEW):
            if item != missing(user):
                yield f"u{user},new-{group}-{item},2024-07-0{2 + item}"


def missing(user: int) -> int:
    return user // GROUPS % NEW


SECTIONS: dict[str, Any] = {
    "ratings": {
        "path": "events.csv",
        "value": "one",
        "timestamp_format": "iso",
        "columns": {"user_id": "user", "item_id": "item", "timestamp": "day"},
    },
    "split": {"by": "time", "last_days": 10},
    "als": {"rank": RANK, "reg_param": REG_PARAM, "iterations": 5},
    "cosine": {},
    "recommend": {"top_k": OLD // 2 + 1},  # all that is left of the group's items
    "evaluate": {"k": (5,)},
}


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root with all that is trained."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "events.csv").write_text("user,item,day\n" + "\n".join(events()) + "\n")
    config = Config.model_validate(with_events(SECTIONS, folder))
    chosen = [stage for stage in stages.in_pipeline(config) if stage.section in SECTIONS]
    runner.run(config, folder / "root", chosen[: [s.name for s in chosen].index(MINE[0])])
    return folder / "root"


def with_events(sections: dict[str, Any], folder: Path) -> dict[str, Any]:
    ratings = sections["ratings"] | {"path": str(folder / "events.csv")}
    return sections | {"ratings": ratings}


def listed(trained: Path, root: Path, **recommend: Any) -> "Lists":
    """The stages of [recommend] with such settings, over what is trained."""
    sections = with_events(SECTIONS, trained.parent) | {"base": str(trained)}
    config = Config.model_validate(sections | {"recommend": SECTIONS["recommend"] | recommend})
    runner.run(config, root, [s for s in stages.in_pipeline(config) if s.name in MINE])
    return Lists(trained, root)


@dataclass(frozen=True)
class Lists:
    """What the stages have written, beside what they have read."""

    trained: Path
    root: Path

    def table(self, name: str) -> pa.Table:
        root = self.root if manifests.exists(self.root, name) else self.trained
        return pa.concat_tables([pq.read_table(path) for path in manifests.load(root, name).paths])

    def pairs(self, name: str, model: str | None = None) -> Pairs:
        return {
            (row["user"], row["item"])
            for row in self.table(name).to_pylist()
            if model is None or row["model"] == model
        }

    def named(self, pairs: Pairs) -> set[tuple[str, str]]:
        users, items = (
            {row[side]: row[f"{side}_id"] for row in self.table(f"{side}s").to_pylist()}
            for side in ("user", "item")
        )
        return {(users[user], items[item]) for user, item in pairs}


WANTED = {(f"u{user}", f"new-{user % GROUPS}-{missing(user)}") for user in range(GROUPS * USERS)}


@pytest.fixture(scope="module", params=LIST_MODELS)
def refitted_lists(
    request: pytest.FixtureRequest, trained: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Lists]:
    root = tmp_path_factory.mktemp(request.param)
    return request.param, listed(trained, root, model=request.param)


def test_no_recommended_item_is_among_a_users_own_events(
    refitted_lists: tuple[str, Lists],
) -> None:
    _, lists = refitted_lists
    published = lists.pairs("recommendations")
    assert len(published) == GROUPS * USERS * SECTIONS["recommend"]["top_k"]
    assert not published & lists.pairs("interactions")


def test_the_newest_days_reach_the_published_lists(refitted_lists: tuple[str, Lists]) -> None:
    """What was bought on days that were withheld is recommended to who has not bought it."""
    model, lists = refitted_lists
    assert {item for _, item in lists.named(lists.pairs("ratings"))} == {
        f"old-{group}-{item}" for group in range(GROUPS) for item in range(OLD)
    }
    assert lists.named(lists.pairs("recommendations", model)) >= WANTED


def test_what_is_measured_knows_nothing_of_what_was_withheld(
    refitted_lists: tuple[str, Lists],
) -> None:
    model, lists = refitted_lists
    measured = lists.pairs("holdout_recommendations")
    assert {user for user, _ in measured} == {user for user, _ in lists.pairs("holdout")}
    assert not measured & lists.pairs("ratings")
    assert {item for _, item in measured} <= {item for _, item in lists.pairs("ratings")}
    assert lists.pairs("holdout_recommendations", model)


def test_limited_lists_are_measured_where_nothing_has_been_published(
    trained: Path, tmp_path: Path
) -> None:
    """recommend-holdout and evaluate, each alone; the items of one group are in stock."""
    stock = {f"old-0-{item}" for item in range(OLD)} | {f"new-0-{item}" for item in range(NEW)}
    path = tmp_path / "stock.csv"
    path.write_text("\n".join(["item_id", *sorted(stock)]) + "\n")
    sections = with_events(SECTIONS, trained.parent) | {"base": str(trained)}
    limited = SECTIONS["recommend"] | {"candidates": str(path)}
    config = Config.model_validate(sections | {"recommend": limited})
    for name in ("recommend-holdout", "evaluate"):
        runner.run(config, tmp_path / "root", stages.select(config, name))
    lists = Lists(trained, tmp_path / "root")
    assert not manifests.exists(lists.root, "recommendations")
    assert {item for _, item in lists.named(lists.pairs("holdout_recommendations"))} <= stock
    # to nobody of the other group anything is relevant
    report = reports_of(manifests.load(lists.root, "metrics"))["holdout"]
    assert {row.users for row in report.metrics if row.metric == "ndcg@5"} == {USERS}


def test_manifests_say_what_lists_are_made_from(refitted_lists: tuple[str, Lists]) -> None:
    model, lists = refitted_lists
    made_from = {
        name: set(manifests.load(lists.root, name).manifest.produced_by.inputs)
        for name in ("recommendations", "holdout_recommendations")
    }
    tables = MODELS[model].lists
    assert made_from == {
        "recommendations": {"interactions", "users", "items", *map(refitted, tables)},
        "holdout_recommendations": {"ratings", "holdout", "items", *tables},
    }
    again = manifests.load(lists.root, refitted(tables[0])).manifest
    assert set(again.produced_by.inputs) == {"interactions", *tables}


@pytest.mark.parametrize("refitted_lists", ["als"], indirect=True)
def test_factors_are_refitted_from_where_training_ended(
    refitted_lists: tuple[str, Lists],
) -> None:
    _, lists = refitted_lists
    info = manifests.load(lists.root, "refitted_user_factors").manifest.info
    assert len(info["history"]) == 2
    factors = {
        side: {
            row[side]: np.array(row["factors"], float)
            for row in lists.table(f"refitted_{side}_factors").to_pylist()
        }
        for side in ("user", "item")
    }
    assert set(factors["item"]) == {item for _, item in lists.pairs("interactions")}
    assert similar(lists, factors["user"]) > 0.9  # random ones would be at about .5
    users, expected = factors["user"], answers(lists.pairs("interactions"), factors["item"])
    for user, own in expected.items():
        np.testing.assert_allclose(users[user], own, rtol=1e-3, atol=1e-4)


def similar(lists: Lists, refitted_users: dict[int, Any]) -> float:
    """The mean cosine of users' factors before and after."""
    before = {
        row["user"]: np.array(row["factors"]) for row in lists.table("user_factors").to_pylist()
    }
    return float(
        np.mean(
            [
                own @ before[user] / np.linalg.norm(own) / np.linalg.norm(before[user])
                for user, own in refitted_users.items()
            ]
        )
    )


def answers(interactions: Pairs, items: dict[int, Any]) -> dict[int, Any]:
    """Each user's least-squares answer to the items: Hu, Koren and Volinsky (2008), equation 4,
    whose weights are 1 + log(1 + 1), regularised in proportion to the user's count.
    """
    every = np.array(list(items.values()))
    gram, confidence = every.T @ every, np.log(2.0)
    found = {}
    for user in {user for user, _ in interactions}:
        own = np.array([items[item] for other, item in sorted(interactions) if other == user])
        left = gram + confidence * own.T @ own + REG_PARAM * len(own) * np.eye(RANK)
        found[user] = np.linalg.solve(left, (1 + confidence) * own.sum(0))
    return found


def test_without_a_refit_lists_are_by_the_trained_model_and_hold_nothing_of_the_users_own(
    trained: Path, tmp_path: Path
) -> None:
    lists = listed(trained, tmp_path, refit=False)
    assert not lists.pairs("recommendations") & lists.pairs("interactions")
    by_model = lists.named(lists.pairs("recommendations", "als"))
    assert by_model and all(item.startswith("old") for _, item in by_model)
    assert not manifests.exists(tmp_path, "refitted_user_factors")
