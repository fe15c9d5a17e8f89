"""Every user's list, beside the models' formulas on whole matrices and a sort."""

import math
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from tests.flows import given

from emberline import stages
from emberline.cf import listing as cf_listing
from emberline.cf.entries import PIECES
from emberline.cf.listing import Mix, Places
from emberline.cf.pieces import scatter_wanted
from emberline.datasets import manifest as manifests
from emberline.datasets.schema import TABLES
from emberline.errors import DataError, EmptyDatasetError
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.runs import plan as plans
from emberline.runs import runner
from emberline.scoring.lists import full_lists
from emberline.scoring.models.offers import Known
from emberline.scoring.topk import ROWS_PER_BLOCK
from emberline.sections.config import Config
from emberline.sections.recommend import RecommendConfig
from emberline.serving.lookup import recommendations_of
from emberline.spark.flow import SparkFlow

Row = dict[str, Any]
Lists = dict[int, list[tuple[int, float, str]]]
Pairs = dict[tuple[int, int], float]
Run = Callable[..., Any]
Read = Callable[[str], pa.Table]
Publish = Callable[..., None]
ShufflingInto = Callable[[int], AbstractContextManager[None]]

K = 4
TOP_K = {"als": 50, "item-neighbors": K, "user-neighbors": K}  # there are fewer than 50 items
SEEN_ALL, NEW, ONE_RATING, NO_FACTORS = 3, 2064, 2055, 2056
USERS = [0, 1, 2, SEEN_ALL, 7, 2047, ONE_RATING, NO_FACTORS, NEW]
ITEMS = [0, 1, 2, 5, 4095, 4096, 4097, 9000]
TWINS = (1, 4096)  # items with the same factors


def make_ratings() -> Pairs:
    rng = np.random.default_rng(1)
    ratings = {
        (user, item): float(rng.integers(1, 6))
        for user in USERS
        for item in ITEMS
        if rng.random() < 0.4
    }
    ratings = {
        (user, item): value
        for (user, item), value in ratings.items()
        if user not in (NEW, ONE_RATING)
    }
    return ratings | {(SEEN_ALL, item): 3.0 for item in ITEMS} | {(ONE_RATING, 5): 4.0}


def make_neighbors(ids: list[int], seed: int) -> Pairs:
    """Similarities of random neighbours, as if by a model that found few; most of them belong
    to others.
    """
    rng = np.random.default_rng(seed)
    pairs = [(own, other) for own in ids for other in ids if own != other and rng.random() < 0.3]
    return {pair: float(np.float32(rng.random())) for pair in pairs}


RATINGS = make_ratings()
ITEM_NEIGHBORS, USER_NEIGHBORS = make_neighbors(ITEMS, 2), make_neighbors(USERS[:-1], 3)
_RNG = np.random.default_rng(4)
USER_FACTORS = {
    user: _RNG.standard_normal(3).astype(np.float32)
    for user in USERS
    if user not in (NEW, NO_FACTORS)
}
ITEM_FACTORS = {item: _RNG.standard_normal(3).astype(np.float32) for item in ITEMS}
ITEM_FACTORS[TWINS[1]] = ITEM_FACTORS[TWINS[0]]


# --------------------------------------------------------------------------------------------------
# expectations


def scores_of(model: str, ratings: Pairs = RATINGS) -> Pairs:
    """The model's formula for each user and item for which it has an answer."""
    if model == "als":
        return {
            (user, item): float(p @ q)
            for user, p in USER_FACTORS.items()
            for item, q in ITEM_FACTORS.items()
        }
    if model == "item-neighbors":
        terms = [
            ((u, i), r * s)
            for (u, rated), r in ratings.items()
            for (i, near), s in ITEM_NEIGHBORS.items()
            if near == rated
        ]
    else:
        terms = [
            ((u, i), s * r)
            for (u, near), s in USER_NEIGHBORS.items()
            for (v, i), r in ratings.items()
            if v == near
        ]
    return {pair: sum(term for other, term in terms if other == pair) for pair, _ in terms}


def sorted_lists(scores: Pairs, ratings: Pairs, users: list[int], model: str, top_k: int) -> Lists:
    """The unseen items of each user, by the model's score, then those it has none for by their
    number of ratings.
    """
    counts = Counter(item for _, item in ratings)
    lists = {}
    for user in users:
        own = sorted(
            (-round(s, 5), item)
            for (u, item), s in scores.items()
            if u == user and (u, item) not in ratings
        )
        answered = [(item, -negative, model) for negative, item in own][:top_k]
        given = {item for item, _, _ in answered}
        rest = sorted(
            (-count, item)
            for item, count in counts.items()
            if item not in given and (user, item) not in ratings
        )
        lists[user] = (answered + [(item, float(-negative), "popular") for negative, item in rest])[
            :top_k
        ]
    return {user: items for user, items in lists.items() if items}


def approximately(lists: Lists) -> dict[int, Any]:
    return {
        user: [(item, pytest.approx(s, abs=2e-5), model) for item, s, model in items]
        for user, items in lists.items()
    }


# --------------------------------------------------------------------------------------------------
# tables


def factors_table(factors: dict[int, np.ndarray], name: str) -> pa.Table:
    vectors = pa.array(list(factors.values()), pa.list_(pa.float32()))
    return pa.table([pa.array(factors, pa.int32()), vectors], names=[name, "factors"])


def pairs_of(pairs: Pairs, names: list[str]) -> pa.Table:
    first, second = (pa.array([pair[side] for pair in pairs], pa.int32()) for side in (0, 1))
    return pa.table([first, second, pa.array(pairs.values(), pa.float32())], names=names)


TABLES_GIVEN = {
    "ratings": pairs_of(RATINGS, ["user", "item", "value"]),
    "user_factors": factors_table(USER_FACTORS, "user"),
    "item_factors": factors_table(ITEM_FACTORS, "item"),
    "item_neighbors": pairs_of(ITEM_NEIGHBORS, ["item", "neighbor", "similarity"]),
    "user_neighbors": pairs_of(USER_NEIGHBORS, ["user", "neighbor", "similarity"]),
}
CUTS = [1, 3, 7]
Found = dict[tuple[str, int], dict[str, Lists]]


@pytest.fixture(scope="module")
def found(spark: SparkSession, shuffling_into: ShufflingInto) -> Found:
    """Lists by engine, number of parts and model; on Spark of one number of parts, which takes
    long.
    """
    with Here(memory=1 << 30, cores=2) as here:
        found = {("here", parts): lists_by_model(here, parts) for parts in CUTS}
    with shuffling_into(3):
        found["spark", 3] = lists_by_model(SparkFlow(spark), 3)
    spark.catalog.clearCache()
    return found


def lists_by_model(flow: Flow, parts: int) -> dict[str, Lists]:
    tables = {name: given(flow, table, parts) for name, table in TABLES_GIVEN.items()}
    users = given(flow, pa.table([pa.array(USERS, pa.int32())], names=["user"]), parts)
    scatter = partial(scatter_wanted, block_size=ROWS_PER_BLOCK)
    known = Known(tables, True, lambda: users.map(("user",), scatter, PIECES))
    found = {}
    for model, top_k in TOP_K.items():
        lists = full_lists(known, RecommendConfig(model=model, top_k=top_k))
        found[model] = lists_of(lists.table().to_pylist())
    return found


def lists_of(rows: list[Row]) -> Lists:
    """Each user's rows in the order of their ranks, which are 1, 2, 3, ..."""
    lists: Lists = {}
    for row in sorted(rows, key=lambda row: row["rank"]):
        items = lists.setdefault(row["user"], [])
        items.append((row["item"], row["score"], row["model"]))
        assert row["rank"] == len(items)
    return lists


# --------------------------------------------------------------------------------------------------
# tests


@pytest.mark.parametrize("model", list(TOP_K))
def test_lists_are_those_of_the_models_formula(found: Found, model: str) -> None:
    assert found["here", 3][model] == approximately(
        sorted_lists(scores_of(model), RATINGS, USERS, model, TOP_K[model])
    )


@pytest.mark.parametrize(
    ("engine", "parts"), [("here", 1), ("here", 7), ("spark", 3)], ids=lambda value: str(value)
)
def test_neither_the_number_of_parts_nor_the_engine_matters(
    found: Found, engine: str, parts: int
) -> None:
    assert found[engine, parts] == found["here", 3]


def test_nothing_is_recommended_that_the_user_has_rated_or_twice(
    found: Found,
) -> None:
    for lists in found["here", 3].values():
        pairs = [(user, item) for user, items in lists.items() for item, _, _ in items]
        assert len(set(pairs)) == len(pairs)
        assert not RATINGS.keys() & set(pairs)


def test_too_short_lists_are_filled_with_popular_items(found: Found) -> None:
    for model in ("item-neighbors", "user-neighbors"):
        columns = [[row for _, _, row in items] for items in found["here", 3][model].values()]
        mixed = [column for column in columns if len(set(column)) == 2]
        assert mixed
        assert all(
            column == sorted(column, key=["popular", model].index, reverse=True)
            for column in columns
        )


@pytest.mark.parametrize("user", [NEW, NO_FACTORS])
def test_users_without_factors_get_what_is_popular_and_new_to_them(found: Found, user: int) -> None:
    counts = Counter(item for _, item in RATINGS)
    popular = sorted(
        (item for item in ITEMS if (user, item) not in RATINGS),
        key=lambda item: (-counts[item], item),
    )
    assert found["here", 3]["als"][user] == [(item, counts[item], "popular") for item in popular]


def test_a_user_without_any_rating_has_the_same_list_from_every_model(
    found: Found,
) -> None:
    assert (
        found["here", 3]["als"][NEW][:K]
        == found["here", 3]["item-neighbors"][NEW]
        == found["here", 3]["user-neighbors"][NEW]
    )


def test_who_has_rated_everything_gets_nothing(found: Found) -> None:
    assert all(SEEN_ALL not in lists for lists in found["here", 3].values())
    assert all(lists.keys() == set(USERS) - {SEEN_ALL} for lists in found["here", 3].values())


def test_ties_go_to_the_smaller_item(found: Found) -> None:
    orders = [
        [item for item, _, model in items if item in TWINS and model == "als"]
        for items in found["here", 3]["als"].values()
    ]
    assert list(TWINS) in orders
    assert list(reversed(TWINS)) not in orders
    popular = [(-score, item) for item, score, _ in found["here", 3]["als"][NEW]]
    assert popular == sorted(popular)
    assert len({score for score, _ in popular}) < len(ITEMS)


def test_a_list_longer_than_there_are_items_has_all_that_are_new_to_the_user(
    found: Found,
) -> None:
    for user, items in found["here", 3]["als"].items():
        assert {item for item, _, _ in items} == {
            item for item in ITEMS if (user, item) not in RATINGS
        }


PIPELINE = """
[cosine]
[recommend]
model = "item-neighbors"
top_k = 4
"""


def pairs_table(pairs: Pairs, schema: pa.Schema) -> pa.Table:
    """The pairs and their numbers as the schema's first three columns, the others being null."""
    rows = [dict(zip(schema.names, (*pair, value), strict=False)) for pair, value in pairs.items()]
    return pa.Table.from_pylist(rows, schema=schema)


def prepared(publish: Publish, root: Path, ratings: Pairs, users: list[int]) -> None:
    """Publish all that recommending by ITEM_NEIGHBORS reads."""
    interactions = pairs_table(ratings, TABLES["interactions"])
    publish(root, "prepare-ratings", "interactions", interactions)
    publish(
        root,
        "prepare-ratings",
        "users",
        pa.table([users, [str(user) for user in users]], schema=TABLES["users"]),
    )
    publish(root, "prepare-ratings", "items", [])
    publish(
        root,
        "train-cosine",
        "item_neighbors",
        pairs_table(ITEM_NEIGHBORS, TABLES["item_neighbors"]),
    )


def test_the_published_lists_are_whole_and_in_order(
    run: Run, read: Read, publish: Publish, root: Path
) -> None:
    prepared(publish, root, RATINGS, USERS)
    run(PIPELINE, only="recommend")
    published = read("recommendations")
    assert published.schema == TABLES["recommendations"]
    rows = published.to_pylist()
    # without a word of ratings, values are counts
    damped = {pair: math.log(1 + count) for pair, count in RATINGS.items()}
    expected = sorted_lists(
        scores_of("item-neighbors", damped), RATINGS, USERS, "item-neighbors", K
    )
    assert lists_of(rows) == approximately(expected)
    places = [(row["user"], row["rank"]) for row in rows]
    assert all(
        place[1] == 1 or place == (before[0], before[1] + 1) for before, place in pairwise(places)
    )


def test_nothing_to_recommend_is_an_error(run: Run, publish: Publish, root: Path) -> None:
    prepared(publish, root, {(user, item): 1.0 for user in (0, 1) for item in ITEMS}, [0, 1])
    with pytest.raises(EmptyDatasetError, match="rated by every user"):
        run(PIPELINE, only="recommend")


# --------------------------------------------------------------------------------------------------
# items that nobody has rated

# One user per case: length of the list and share of its places, the items of the warm and of the
# cold list with their scores, and the items of the mixed list.
Scored = list[tuple[int, int]]
MIXED: dict[str, tuple[int, float, Scored, Scored, list[int]]] = {
    "two of four places are reserved": (
        4,
        0.5,
        [(1, 9), (2, 8), (3, 7), (4, 6)],
        [(51, 2), (52, 1), (53, 0)],
        [1, 2, 51, 52],
    ),
    "more cold items win by score": (
        4,
        0.5,
        [(1, 9), (2, 3), (3, 2), (4, 1)],
        [(51, 8), (52, 7), (53, 6)],
        [1, 51, 52, 53],
    ),
    "the cold list is short": (4, 0.5, [(1, 9), (2, 8), (3, 7), (4, 6)], [(51, 2)], [1, 2, 3, 51]),
    "there is no cold list": (4, 0.5, [(1, 9), (2, 8), (3, 7), (4, 6)], [], [1, 2, 3, 4]),
    "both are short": (4, 0.5, [(1, 9)], [(51, 10)], [51, 1]),
    "half a place is one": (
        5,
        0.3,
        [(1, 9), (2, 8), (3, 7), (4, 6), (5, 5)],
        [(51, 2), (52, 1), (53, 0)],
        [1, 2, 3, 51, 52],
    ),
    "less than half is none": (4, 0.1, [(1, 9), (2, 8), (3, 7), (4, 6)], [(51, 2)], [1, 2, 3, 4]),
    "nothing reserved, scores decide": (3, 0.0, [(1, 5), (2, 1)], [(51, 7), (52, 3)], [51, 1, 52]),
    "there is no warm list": (3, 0.0, [], [(51, 2), (52, 1)], [51, 52]),
    "ties go to the smaller item": (3, 0.0, [(5, 4), (53, 4)], [(52, 4), (54, 4)], [5, 52, 53]),
}


def mixed_lists(lists: dict[str, dict[int, Scored]], shares: dict[str, float], k: int) -> Lists:
    """Users' lists of some models, mixed."""
    how = Mix.of(k, shares, "popular")
    parts = []
    for number, model in enumerate(shares):
        rows = [(user, item, score) for user in lists[model] for item, score in lists[model][user]]
        users, items, scores = np.array(rows, np.int32).reshape(-1, 3).T
        numbers = np.full(len(users), number, np.int32)
        parts.append(Places(users, items, scores.astype(np.float32), numbers))
    found: Lists = {}
    best = cf_listing.mixed(Places.joined(parts), how)
    for user, item, score, number in zip(
        best.users, best.items, best.scores, best.models, strict=True
    ):
        row = (int(item), float(score), how.models[number])
        found.setdefault(int(user), []).append(row)
    return found


@pytest.mark.parametrize("name", MIXED)
def test_cold_items_get_their_places_and_what_their_scores_win(name: str) -> None:
    top_k, share, warm, cold, expected = MIXED[name]
    scores = dict(warm) | dict(cold)
    found = mixed_lists({"als": {5: warm}, "cnn": {5: cold}}, {"als": 0.0, "cnn": share}, top_k)
    models = {item: "cnn" if item in dict(cold) else "als" for item in scores}
    assert found == {5: [(item, float(scores[item]), models[item]) for item in expected]}


def test_any_number_of_lists_is_mixed_each_with_places_of_its_own() -> None:
    """Of five places each of two lists has one for itself, and scores decide on the others."""
    lists = {
        "als": {0: [(1, 9), (2, 8), (3, 7), (4, 6)]},
        "cnn": {0: [(51, 2), (52, 1)]},
        "item-neighbors": {0: [(71, 1), (72, 0)]},
    }
    assert mixed_lists(lists, {"als": 0.0, "cnn": 0.2, "item-neighbors": 0.2}, 5) == {
        0: [
            (1, 9.0, "als"),
            (2, 8.0, "als"),
            (3, 7.0, "als"),
            (51, 2.0, "cnn"),
            (71, 1.0, "item-neighbors"),
        ]
    }


COLD_SECTIONS: Row = {
    "ratings": {"path": "unread", "value": "one", "columns": {"user_id": "u", "item_id": "i"}},
    "als": {"rank": 3},
    "images": {"path": "unread"},
    "shards": {"task": "factors"},
    "cnn": {},
    "predict": {},
    "recommend": {"top_k": 5, "cold_share": 0.4},
}
COLD_ITEMS = {item: _RNG.standard_normal(3).astype(np.float32) for item in (3, 10_000, 10_001)}


@pytest.fixture(scope="module")
def pictured(
    spark: SparkSession, publish: Publish, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The root of a pipeline that predicts the factors of cold items, and others for rated
    items, 100 times as large.
    """
    root = tmp_path_factory.mktemp("pictured")
    ids = pa.table([USERS, [str(user) for user in USERS]], schema=TABLES["users"])
    interactions = pairs_table(RATINGS, TABLES["interactions"])
    publish(root, "prepare-ratings", "interactions", interactions)
    publish(root, "prepare-ratings", "users", ids)
    titled = [
        {"item": item, "item_id": f"rated {item}", "title": f"Title {item}"} for item in ITEMS
    ]
    publish(root, "prepare-ratings", "items", titled)
    predicted = {item: 100 * factors for item, factors in ITEM_FACTORS.items()} | COLD_ITEMS
    tables = {
        "user_factors": USER_FACTORS,
        "item_factors": ITEM_FACTORS,
        "predicted_factors": predicted,
    }
    for name, factors in tables.items():
        side, stage = (
            ("user" if name == "user_factors" else "item"),
            ("predict-items" if factors is predicted else "train-als"),
        )
        publish(
            root,
            stage,
            name,
            pa.Table.from_pylist(
                [
                    {"model": "cnn", side: id_, "factors": vector.tolist()}
                    for id_, vector in factors.items()
                ],
                schema=TABLES[name],
            ),
        )
        manifests.commit(root, replace(manifests.load(root, name).manifest, rank=3))
    config = Config.model_validate(COLD_SECTIONS)
    runner.run(config, root, stages.select(config, "recommend"))
    return root


def table_of(root: Path, name: str) -> list[dict[str, Any]]:
    return [
        row for path in manifests.load(root, name).paths for row in pq.read_table(path).to_pylist()
    ]


def recommended(root: Path) -> Lists:
    return lists_of(table_of(root, "recommendations"))


def test_items_that_nobody_has_rated_are_recommended_by_their_pictures_and_no_others(
    pictured: Path,
) -> None:
    """Of five places two are reserved for them."""
    known = [user for user in USERS if user in USER_FACTORS]
    expected = {}
    for user in known:
        scores = {
            item: float(USER_FACTORS[user] @ factors)
            for item, factors in (ITEM_FACTORS | COLD_ITEMS).items()
        }
        scores = {item: score for item, score in scores.items() if (user, item) not in RATINGS}
        best = sorted(scores, key=lambda item: (-round(scores[item], 5), item))
        reserved = [item for item in best if item in COLD_ITEMS][:2]
        chosen = reserved + [item for item in best if item not in reserved][: 5 - len(reserved)]
        places = sorted(chosen, key=best.index)
        expected[user] = [
            (item, scores[item], "cnn" if item in COLD_ITEMS else "als") for item in places
        ]
    lists = recommended(pictured)
    assert {user: lists[user] for user in known} == approximately(expected)
    assert {model for user in (NEW, NO_FACTORS) for _, _, model in lists[user]} == {"popular"}
    assert all(
        (item in COLD_ITEMS) == (model == "cnn")
        for items in lists.values()
        for item, _, model in items
    )


def test_items_that_only_attributes_or_pictures_name_are_found_by_their_ids(
    pictured: Path, publish: Publish
) -> None:
    described = {
        "item": 3,
        "item_id": "described",
        "title": "Three",
        "genres": [],
        "tags": [],
        "numbers": [],
    }
    publish(pictured, "prepare-items", "item_attributes", [described])
    publish(
        pictured,
        "prepare-images",
        "images",
        [{"item": i, "item_id": f"seen {i}", "pixels": b"."} for i in COLD_ITEMS],
    )
    names: dict[int, tuple[str, str | None]] = {
        item: (f"rated {item}", f"Title {item}") for item in ITEMS
    }
    names |= {item: (f"seen {item}", None) for item in COLD_ITEMS}
    names[3] = ("described", "Three")
    lists = recommended(pictured)
    assert {
        item for items in lists.values() for item, _, model in items if model == "cnn"
    } == COLD_ITEMS.keys()
    for user, items in lists.items():
        found = [(row.item_id, row.title) for row in recommendations_of(pictured, str(user), 5)]
        assert found == [names[item] for item, _, _ in items]


# --------------------------------------------------------------------------------------------------
# what may be recommended


@pytest.fixture
def listing(pictured: Path, publish: Publish, tmp_path: Path) -> tuple[Config, Path]:
    """The same pipeline in a root of its own, with lists of what is in stock and of what is
    recalled.
    """
    root = shutil.copytree(
        pictured, tmp_path / "listing", ignore=shutil.ignore_patterns("item_attributes", "images")
    )
    publish(
        root,
        "prepare-images",
        "images",
        [{"item": i, "item_id": f"seen {i}", "pixels": b"."} for i in COLD_ITEMS],
    )
    stock, recalled = tmp_path / "stock.csv", tmp_path / "recalled.txt"
    stock.write_text(
        "item_id,left\nrated 0,1\nrated 2,9\nrated 5,1\nrated 4097,3\nseen 10000,1\nseen"
        " 10001,2\nunheard of,1\n"
    )
    recalled.write_text("rated 5\nseen 10001\n\n")
    lists = {
        "candidates": str(stock),
        "exclude": {"path": str(recalled), "header": False, "item_id": 1},
    }
    return (
        Config.model_validate(COLD_SECTIONS | {"recommend": COLD_SECTIONS["recommend"] | lists}),
        root,
    )


def test_only_candidates_are_recommended_and_nothing_excluded(listing: tuple[Config, Path]) -> None:
    config, root = listing
    stage = stages.select(config, "recommend")
    (outcome,) = runner.run(config, root, stage)
    assert outcome.metrics == {
        "candidates": {"ids": 7, "unknown": 1},
        "exclude": {"ids": 2, "unknown": 0},
    }
    factors = {item: (ITEM_FACTORS | COLD_ITEMS)[item] for item in (0, 2, 4097, 10_000)}
    counts = Counter(item for _, item in RATINGS)
    lists = recommended(root)
    for user in USERS:
        own = USER_FACTORS.get(user)
        model = {
            item: "popular" if own is None else "cnn" if item in COLD_ITEMS else "als"
            for item in factors
        }
        scores = {
            item: float(counts[item] if own is None else own @ vector)
            for item, vector in factors.items()
        }
        unseen = [
            item
            for item in factors
            if (user, item) not in RATINGS and (own is not None or item not in COLD_ITEMS)
        ]
        best = sorted(unseen, key=lambda item: (-round(scores[item], 5), item))
        assert lists[user] == [
            (item, pytest.approx(scores[item], abs=2e-5), model[item]) for item in best
        ]
    assert [decision.action for decision in plans.plan(config, root, stage)] == ["skip"]
    Path(config.recommend.exclude.path).write_text("rated 0\n")
    assert [decision.reason for decision in plans.plan(config, root, stage)] == [
        "recalled.txt changed"
    ]


def test_a_list_that_cannot_be_read_whole_stops_the_stage_with_the_reasons(
    listing: tuple[Config, Path],
) -> None:
    config, root = listing
    Path(config.recommend.exclude.path).write_text('rated 5\nseen 10001, do not sell\n"broken\n')
    told = (
        r"recommend\.exclude \(.*recalled\.txt\): rows that cannot be read may name what is"
        r" meant.*1"
        r" unbalanced quotes.*1 wrong number"
    )
    with pytest.raises(DataError, match=told):
        runner.run(config, root, stages.select(config, "recommend"))


def test_lists_that_leave_no_item_are_an_error(listing: tuple[Config, Path]) -> None:
    config, root = listing
    Path(config.recommend.candidates.path).write_text("item_id\nrated 5\nrated  0\n")
    with pytest.raises(
        EmptyDatasetError,
        match=r"no item may be recommended: recommend.candidates \(.*stock.csv\) and",
    ):
        runner.run(config, root, stages.select(config, "recommend"))


def test_what_is_popular_is_a_table_of_its_own_for_whoever_is_unknown(
    listing: tuple[Config, Path],
) -> None:
    config, root = listing
    runner.run(config, root, stages.select(config, "recommend"))
    counts = Counter(item for _, item in RATINGS)
    in_stock = [item for item in (0, 2, 4097, 10_000) if item in counts]
    best = sorted(in_stock, key=lambda item: (-counts[item], item))
    best = best[: config.recommend.top_k]  # type: ignore[union-attr]
    assert table_of(root, "popular_items") == [
        {"rank": rank, "item": item, "score": counts[item]}
        for rank, item in enumerate(best, start=1)
    ]
