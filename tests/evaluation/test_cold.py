"""How cold items are ranked and measured, beside loops, pair counting and dense systems of
equations.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.flows import given

from emberline import stages
from emberline.cf.blocks import dense_block
from emberline.cf.ranks import Candidates, ranks_of
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.errors import EmptyDatasetError
from emberline.evaluation import cold
from emberline.evaluation.cold import asked_of, found_of, measured_of
from emberline.evaluation.samples import Tables, metric_rows
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.runs import runner
from emberline.scoring import topk
from emberline.sections.config import Config

Row = dict[str, Any]
Place = tuple[str, int, int]  # model, user, item
Factors = dict[int, np.ndarray]
Publish = Callable[..., None]

RNG = np.random.default_rng(7)
FLOATS = pa.list_(pa.float32())


def factors_table(factors: Factors, name: str) -> pa.Table:
    vectors = pa.array([vector.tolist() for vector in factors.values()], FLOATS)
    return pa.table([pa.array(list(factors), pa.int32()), vectors], names=[name, "factors"])


def vectors(ids: list[int], rank: int) -> Factors:
    return {id_: RNG.standard_normal(rank).astype(np.float32) for id_ in ids}


# --------------------------------------------------------------------------------------------------
# ranks

# Ids with gaps, over three blocks of users and five of items.
USERS = [3 * n for n in range(400)]
ITEMS = [2 * n for n in range(10)]
USER_FACTORS = vectors([*USERS, 5000], 2)
MODELS = {
    "random": vectors(ITEMS, 2),
    "coarse": {
        item: np.round(vector).astype(np.float32) for item, vector in vectors(ITEMS, 2).items()
    },
    "nothing": {item: np.zeros(2, np.float32) for item in ITEMS},
}
RELEVANT = [
    (user, item)
    for user in USERS
    for item in RNG.choice(ITEMS, 1 + (user == 6) * 3, replace=False).tolist()
]


def ranks_with(seed: int) -> dict[Place, int]:
    """By block, of the users who have factors and of a user who wants nothing."""
    found = {}
    block = dense_block(
        np.array(list(USER_FACTORS), np.int32), np.array(list(USER_FACTORS.values()))
    )
    rows, places = (
        np.searchsorted(ids, [pair[side] for pair in RELEVANT])
        for side, ids in ((0, block.ids), (1, ITEMS))
    )
    for name, factors in MODELS.items():
        candidates = Candidates(np.array(ITEMS, np.int32), np.array(list(factors.values())))
        ranked = ranks_of(block, candidates, rows, places, seed)
        for user, place, rank in zip(ranked.users, ranked.places, ranked.ranks, strict=True):
            found[name, int(user), ITEMS[place]] = int(rank)
    assert len(found) == len(MODELS) * len(RELEVANT)
    return found


@pytest.fixture(scope="module")
def ranks() -> dict[Place, int]:
    """Of so few scores at a time that there are many portions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emberline.cf.ranks._SCORES", 170)
        return ranks_with(seed=1)


def places_of(model: str, user: int, item: int) -> range:
    """The ranks that the item can have: one, or several where other items have its score."""
    scores = {
        other: float(USER_FACTORS[user] @ factors) for other, factors in MODELS[model].items()
    }
    above = sum(score > scores[item] + 1e-5 for score in scores.values())
    equal = sum(abs(score - scores[item]) <= 1e-5 for score in scores.values())
    return range(1 + above, 1 + above + equal)


def test_an_items_rank_is_one_more_than_the_items_with_better_scores(
    ranks: dict[Place, int],
) -> None:
    expected = {place: places_of(*place) for place in ranks}
    assert {place for place, rank in ranks.items() if rank not in expected[place]} == set()
    assert sum(
        len(places) == 1 for (model, _, _), places in expected.items() if model == "random"
    ) > 0.99 * len(RELEVANT)
    assert {len(places) for (model, _, _), places in expected.items() if model == "coarse"} >= {
        1,
        2,
    }


def test_ties_take_every_place_about_equally_often(ranks: dict[Place, int]) -> None:
    counts = np.bincount(
        [rank for (model, _, _), rank in ranks.items() if model == "nothing"], minlength=11
    )[1:]
    expected = len(RELEVANT) / 10
    assert len(counts) == 10
    # chi-squared with 9 degrees of freedom, 1 in 1000
    assert ((counts - expected) ** 2 / expected).sum() < 27.9


def test_scores_that_rounding_makes_differ_are_equal() -> None:
    """1 and 1 + 1e-7 of three items share the first two places."""
    items = np.array([3, 5, 9], np.int32)
    candidates = Candidates(items, np.array([[1], [1 + 1e-7], [0.5]], np.float32))
    users = dense_block(np.arange(200, dtype=np.int32), np.ones((200, 1), np.float32))
    rows = np.repeat(np.arange(200), 2)
    ranked = ranks_of(users, candidates, rows, np.tile([0, 1], 200), seed=1)
    for place in (0, 1):
        assert set(ranked.ranks[ranked.places == place].tolist()) == {1, 2}


def test_another_seed_draws_other_places(ranks: dict[Place, int]) -> None:
    """Here in one portion."""
    other = ranks_with(seed=2)
    assert all(rank in places_of(*place) for place, rank in other.items())
    assert (
        sum(other[place] != ranks[place] for place in other if place[0] == "nothing")
        > len(RELEVANT) / 2
    )


# --------------------------------------------------------------------------------------------------
# metrics

CANDIDATES = 12
HELD_SCHEMA = pa.schema(
    [
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("value", pa.float32()),
        ("cold", pa.bool_()),
    ]
)
KS = (1, 5)


ORDERS: dict[str, list[list[int]]] = {}  # each model's ranks of all items, by user


def drawn(
    name: str, num_users: int, items: list[int], wanted: Callable[[int], int], pull: float
) -> dict[int, dict[int, int]]:
    """Each user's ranks by relevant item: a random order, in which small items are the better
    the stronger the pull.
    """
    found = {}
    ORDERS[name] = []
    for user in range(num_users):
        keys = RNG.random(CANDIDATES) + pull * np.arange(CANDIDATES)
        places = (np.argsort(np.argsort(keys)) + 1).tolist()
        ORDERS[name].append(places)
        found[user] = {
            item: places[item] for item in RNG.choice(items, wanted(user), replace=False).tolist()
        }
    return found


MEASURED = {
    name: drawn(name, *how)
    for name, how in {
        "many-items": (9, list(range(CANDIDATES)), lambda user: 1 + user % 4, 0.02),
        "few-items": (60, [0, 5, 11], lambda user: 1 + user % 2, 0.3),
        "one-user": (1, list(range(CANDIDATES)), lambda user: 3, 0.5),
        "one-item": (5, [3], lambda user: 1, 0.0),
        "all-relevant": (2, list(range(CANDIDATES)), lambda user: CANDIDATES, 0.0),
    }.items()
}


def rows_with(flow: Flow, names: list[str], parts: int) -> list[Row]:
    """A user's score for an item is minus its rank, since items' factors are the unit vectors; one
    more user has no factors, and one wants what is no candidate.
    """
    items = np.arange(CANDIDATES, dtype=np.int32)
    candidates = Candidates(items, np.eye(CANDIDATES, dtype=np.float32))
    measured = []
    for name in names:
        users = {user: -np.array(order, np.float32) for user, order in enumerate(ORDERS[name])}
        held = [
            {"user": user, "item": item, "value": 1.0, "cold": True}
            for user, items in MEASURED[name].items()
            for item in items
        ]
        held += [{"user": 999, "item": 0, "value": 1.0, "cold": True}]
        held += [{"user": 0, "item": 50, "value": 1.0, "cold": True}]
        tables = factors_table(users, "user"), pa.Table.from_pylist(held, schema=HELD_SCHEMA)
        known, holdout = (given(flow, table, parts) for table in tables)
        asked = asked_of(flow, known, holdout, None)
        measured.append(measured_of(flow, asked, name, candidates, KS, seed=1))
    found = found_of(flow, measured, items, KS)
    assert found.users is not None and found.items is not None
    users_, items_ = (given(flow, rows.table(), parts) for rows in (found.users, found.items))
    samples = Tables(users_, items_, 100, 1).samples(flow, found.user_keys(), found.item_keys())
    return list(metric_rows("cold items", found, samples))


@pytest.fixture(scope="module")
def measured() -> list[Row]:
    with Here(memory=1 << 30, cores=2) as flow:
        return rows_with(flow, list(MEASURED), parts=2)


@pytest.mark.parametrize("parts", [1, 7])
@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_neither_parts_nor_blocks_nor_the_engine_matter(
    flow: Flow, parts: int, measured: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not to intervals either."""
    monkeypatch.setattr("emberline.cf.ranks.ITEMS_PER_BLOCK", 5)
    for module in (cold, topk):
        monkeypatch.setattr(module, "ROWS_PER_BLOCK", 8)
    found = rows_with(flow, ["few-items"], parts)
    expected = [row for row in measured if row["model"] == "few-items"]
    for row, other in zip(found, expected, strict=True):
        assert row.keys() == other.keys()
        for key, value in row.items():
            assert value == pytest.approx(other[key])


def auc(ranks: list[int]) -> float:
    """The share of pairs of a relevant and another item that are in the right order, counted."""
    others = set(range(1, CANDIDATES + 1)) - set(ranks)
    pairs = [own < other for own in ranks for other in others]
    return sum(pairs) / len(pairs) if pairs else 1.0


def per_user(ranks: list[int]) -> dict[str, float]:
    found = {"auc": auc(ranks)}
    for k in KS:
        hits = [rank for rank in ranks if rank <= k]
        ideal = sum(1 / np.log2(place + 1) for place in range(1, min(k, len(ranks)) + 1))
        found[f"recall@{k}/n"] = len(hits) / len(ranks)
        found[f"recall@{k}/min(k,n)"] = len(hits) / min(k, len(ranks))
        found[f"ndcg@{k}"] = sum(1 / np.log2(rank + 1) for rank in hits) / ideal
    return found


@pytest.mark.parametrize("model", list(MEASURED))
def test_metrics_are_those_of_loops_over_users(measured: list[Row], model: str) -> None:
    each = [per_user(list(items.values())) for items in MEASURED[model].values()]
    expected = {name: np.mean([user[name] for user in each]) for name in each[0]}
    assert {
        row["metric"]: row["value"] for row in measured if row["model"] == model
    } == pytest.approx(expected)
    assert {row["users"] for row in measured if row["model"] == model} == {len(each)}


def user_error(model: str, metric: str) -> float | None:
    """None for one user."""
    values = [per_user(list(items.values()))[metric] for items in MEASURED[model].values()]
    return None if len(values) < 2 else float(np.std(values, ddof=1) / np.sqrt(len(values)))


def item_error(model: str, metric: str) -> float | None:
    """Of the ratio of what the items add to the users' recalls to the items' shares of the
    users.
    """
    k = int(metric.removeprefix("recall@").removesuffix("/n"))
    users = MEASURED[model].values()
    items = sorted({item for ranks in users for item in ranks})
    parts = np.array(
        [[(ranks.get(i, k + 1) <= k) / len(ranks) for ranks in users] for i in items]
    ).sum(axis=1)
    shares = np.array([[(i in ranks) / len(ranks) for ranks in users] for i in items]).sum(axis=1)
    n, ratio = len(items), parts.sum() / shares.sum()
    return (
        None
        if n < 2
        else float(np.sqrt(n / (n - 1) * ((parts - ratio * shares) ** 2).sum()) / shares.sum())
    )


@pytest.mark.parametrize("model", list(MEASURED))
@pytest.mark.parametrize("metric", ["recall@1/n", "recall@5/n"])
def test_the_standard_error_is_the_larger_of_that_over_users_and_that_over_items(
    measured: list[Row], model: str, metric: str
) -> None:
    (row,) = [row for row in measured if (row["model"], row["metric"]) == (model, metric)]
    errors = [
        error
        for error in (user_error(model, metric), item_error(model, metric))
        if error is not None
    ]
    assert row["standard_error"] == pytest.approx(max(errors), abs=1e-12)


def test_either_sample_can_be_the_uncertain_one() -> None:
    few, many = (
        (user_error(name, "recall@5/n") or 0, item_error(name, "recall@5/n") or 0)
        for name in ("few-items", "many-items")
    )
    assert 0 < few[0] < few[1]
    assert many[0] > many[1] > 0
    assert user_error("one-user", "recall@5/n") is None is item_error("one-item", "recall@5/n")


def test_the_model_with_the_largest_area_comes_first(measured: list[Row]) -> None:
    areas = [row["value"] for row in measured if row["metric"] == "auc"]
    assert areas == sorted(areas, reverse=True)
    assert len(areas) == len(MEASURED)


# --------------------------------------------------------------------------------------------------
# the whole stage

# Items 0 to 79 were trained on, 80 to 109 withheld whole, 110 to 114 are of nobody's; 2 x 2 grey
# pixels decide the factors.
SHOP_USERS = vectors(list(range(60)), 4)
SHOP_PIXELS = {item: RNG.integers(0, 256, 4, np.uint8) for item in range(115)}
SHOP_ITEMS = {item: (pixels / 127.5 - 1).astype(np.float32) for item, pixels in SHOP_PIXELS.items()}
NEWCOMER = 99
SECTIONS: Row = {
    "split": {"cold_items": 0.2},
    "ratings": {
        "path": "unread",
        "columns": {"user_id": "u", "item_id": "i", "value": "v"},
    },
    "als": {"rank": 4},
    "images": {"path": "unread"},
    "shards": {"task": "factors"},
    "cnn": {},
    "predict": {},
    "evaluate": {"cold_k": [5], "relevant_from": 4.0},
}


def withheld_ratings() -> list[Row]:
    """Each user likes three of the ten cold items that suit them best, and hates one; a
    newcomer has no factors.
    """
    rows = []
    for user, factors in SHOP_USERS.items():
        best = sorted(range(80, 110), key=lambda item: -float(factors @ SHOP_ITEMS[item]))
        liked = RNG.choice(best[:10], 3, replace=False).tolist()
        rows += [{"user": user, "item": item, "value": 5.0, "cold": True} for item in liked]
        rows += [{"user": user, "item": best[-1], "value": 1.0, "cold": True}]
        rows += [{"user": user, "item": 3, "value": 5.0, "cold": False}]
    return [*rows, {"user": NEWCOMER, "item": 85, "value": 5.0, "cold": True}]


def set_rank(root: Path, *names: str) -> None:
    for name in names:
        manifests.commit(root, replace(manifests.load(root, name).manifest, rank=4))


def publish_shop(publish: Publish, root: Path, held: list[Row]) -> None:
    split = {
        item: "train" if item < 70 else "val" if item < 80 else "test" if item < 110 else "none"
        for item in SHOP_PIXELS
    }
    shards = [
        {"item": item, "item_id": str(item), "split": split[item], "pixels": pixels.tobytes()}
        for item, pixels in SHOP_PIXELS.items()
    ]
    publish(root, "export-shards", "shards_all", shards, height=2, width=2, channels=1)
    publish(root, "split-ratings", "ratings", [], cleaning={"value": "rating"})
    publish(
        root,
        "split-ratings",
        "holdout",
        held,
        protocol={"cold_items": 0.2},
        cleaning={"value": "rating"},
    )
    trained = {item: factors for item, factors in SHOP_ITEMS.items() if item < 80}
    for stage, name, side, factors in (
        ("train-als", "user_factors", "user", SHOP_USERS),
        ("train-als", "item_factors", "item", trained),
        ("predict-items", "predicted_factors", "item", SHOP_ITEMS),
    ):
        rows = [
            {"model": "cnn", side: id_, "factors": vector.tolist()}
            for id_, vector in factors.items()
        ]
        table = pa.Table.from_pylist(rows, schema=TABLES[name])
        config = {"rank": 4} if stage == "train-als" else None
        publish(root, stage, name, table, config=config, value_mean=3.0, value_deviation=1.0)
    set_rank(root, "user_factors", "item_factors", "predicted_factors")


def measure(root: Path, config: Config) -> None:
    """Run the stages of [evaluate]."""
    wanted = ("train-baselines", "evaluate")
    runner.run(config, root, [stages.select(config, name)[0] for name in wanted])


@pytest.fixture(scope="module")
def report(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Row:
    root = tmp_path_factory.mktemp("cold")
    publish_shop(publish, root, withheld_ratings())
    measure(root, Config.model_validate(SECTIONS))
    reports = json.loads(manifests.load(root, "metrics").paths[0].read_text())["reports"]
    assert list(reports) == ["cold items"]
    found: Row = reports["cold items"]
    return found | {
        "auc": {row["model"]: row for row in found["metrics"] if row["metric"] == "auc"}
    }


def test_good_factors_rank_cold_items_well_and_none_rank_them_by_chance(report: Row) -> None:
    areas = {model: row["value"] for model, row in report["auc"].items()}
    assert areas.keys() == {
        "cnn",
        "neighbors-pixels",
        "neighbors-histogram",
        "linear-pixels",
        "linear-histogram",
        "kernel-histogram",
        "mean-factors",
        "random",
        "oracle",
    }
    assert areas["cnn"] > 0.8
    # the pixels are the factors
    assert areas["linear-pixels"] == pytest.approx(areas["cnn"], abs=0.01)
    assert 0.6 < areas["neighbors-pixels"] < areas["cnn"]
    for model in ("random", "mean-factors"):
        assert areas[model] == pytest.approx(0.5, abs=4 * report["auc"][model]["standard_error"])


def test_who_is_counted_is_in_the_protocol(report: Row) -> None:
    over_users = [row for row in report["metrics"] if row["metric"] != "auc z"]
    assert {row["users"] for row in over_users} == {len(SHOP_USERS)}
    assert report["protocol"]["name"] == "30 cold items among each other"
    assert report["protocol"]["relevant"] == "withheld value >= 4"
    assert {row["metric"] for row in over_users} == {
        "auc",
        "recall@5/n",
        "recall@5/min(k,n)",
        "ndcg@5",
    }


def test_no_relevant_cold_item_with_a_picture_is_an_error(publish: Publish, root: Path) -> None:
    publish_shop(publish, root, [{"user": NEWCOMER, "item": 85, "value": 5.0, "cold": True}])
    with pytest.raises(
        EmptyDatasetError, match="none of the 1 cold items with a picture has a relevant rating"
    ):
        measure(root, Config.model_validate(SECTIONS))


# Nothing is known of these items but what they are called.
NO_PICTURES: Row = {
    "ratings": SECTIONS["ratings"],
    "split": SECTIONS["split"],
    "attributes": {"items": {"path": "unread", "columns": {"id": "i", "title": "t"}}},
    "als": {"rank": 4},
    "evaluate": SECTIONS["evaluate"],
}


def test_a_catalogue_without_pictures_is_measured_by_what_there_is(
    publish: Publish, root: Path
) -> None:
    publish_shop(publish, root, withheld_ratings())
    for name in ("shards_all", "predicted_factors"):
        shutil.rmtree(root / name)
    measure(root, Config.model_validate(NO_PICTURES))
    report = json.loads(manifests.load(root, "metrics").paths[0].read_text())["reports"]
    found = report["cold items"]
    areas = {row["model"]: row["value"] for row in found["metrics"] if row["metric"] == "auc"}
    assert areas.keys() == {"mean-factors", "random", "oracle"}
    assert areas["oracle"] > 0.8 > 0.6 > areas["mean-factors"]
    assert found["protocol"]["candidates"] == "the items withheld whole"
