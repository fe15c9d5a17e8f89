"""Metrics of lists and predictions written by hand, beside plain Python."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.flows import given

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import ProducedBy
from emberline.datasets.measures import reports_in
from emberline.errors import EmptyDatasetError
from emberline.evaluation.stage import holdout_protocol
from emberline.flow.rows import Flow
from emberline.models import ALS
from emberline.publish import trivial
from emberline.runs import runner
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import begin
from emberline.scoring import topk
from emberline.scoring.models.als import predict
from emberline.scoring.rated import Rated
from emberline.sections.config import Config
from emberline.sections.ratings import RatingsConfig

Row = dict[str, Any]
Report = dict[str, Any]
Lists = dict[int, list[int]]
Pairs = dict[tuple[int, int], float]
Publish = Callable[..., None]

HOLDOUT = {"by": "fraction", "fraction": 0.2, "cold_items": 0.0, "seed": 1}


# --------------------------------------------------------------------------------------------------
# inputs by hand


def publish_all(
    publish: Publish,
    root: Path,
    training: Pairs,
    withheld: Pairs,
    cold: Pairs,
    lists: Lists,
    protocol: Row,
    config: Row | None = None,
    model: str = "item-neighbors",
) -> None:
    """Publish what every evaluation reads."""
    held = [_rating(pair, value) | {"cold": False} for pair, value in withheld.items()]
    held += [_rating(pair, value) | {"cold": True} for pair, value in cold.items()]
    publish(
        root,
        "prepare-ratings",
        "ratings",
        [_rating(pair, value) for pair, value in training.items()],
        cleaning=config or {},
    )
    publish(root, "split-ratings", "holdout", held, protocol=protocol, cleaning=config or {})
    publish(
        root,
        "recommend-holdout",
        "holdout_recommendations",
        [row for user, items in lists.items() for row in _list(user, items)],
        config={"model": model},
    )


def _rating(pair: tuple[int, int], value: float) -> Row:
    return {"user": pair[0], "item": pair[1], "value": value}


def _list(user: int, items: list[int]) -> list[Row]:
    return [
        {"user": user, "item": item, "rank": rank, "score": -float(rank), "model": "popular"}
        for rank, item in enumerate(items, 1)
    ]


def evaluated(root: Path, sections: dict[str, Row]) -> Report:
    """What the stage publishes of the holdout; `by_name` holds its rows by model and metric."""
    config = Config.model_validate(sections)
    runner.run(config, root, stages.select(config, "evaluate"))
    reports: dict[str, Report] = json.loads(manifests.load(root, "metrics").paths[0].read_text())[
        "reports"
    ]
    assert list(reports) == ["holdout"]
    report = reports["holdout"]
    by_name = {(row["model"], row["metric"]): row for row in report["metrics"]}
    assert len(by_name) == len(report["metrics"])
    return report | {"by_name": by_name}


# --------------------------------------------------------------------------------------------------
# a shop: lists beside loops

# Ids with gaps, in several blocks of users. The i-th item has 6 + i ratings: no two items are
# equally popular.
USERS = [300 * i for i in range(60)]
ITEMS = [7 * i for i in range(25)]
NEWCOMER, ONLY_COLD = 30_000, 30_001
KS = (2, 5)
_RNG = np.random.default_rng(1)
TRAINING: Pairs = {
    (user, item): 1.0
    for i, item in enumerate(ITEMS)
    for user in _RNG.choice(USERS, 6 + i, replace=False).tolist()
}
WITHHELD: Pairs = {
    (user, item): float(_RNG.integers(1, 6))
    for user in [*USERS, NEWCOMER]
    for item in ITEMS
    if (user, item) not in TRAINING and _RNG.random() < 0.15
}
COLD: Pairs = {(user, 1000 + i): 5.0 for i, user in enumerate([*USERS[:20], ONLY_COLD])}
# Users from the 50th on have no list, and some lists are short or empty.
LISTS: Lists = {
    user: _RNG.permutation(ITEMS)[: _RNG.integers(0, 7)].tolist()
    for user in [*USERS[:50], ONLY_COLD]
}
LISTS[USERS[0]] = [1000, 0]  # a cold item in a list is no hit, and covers nothing
SHOP: dict[str, Row] = {
    "cosine": {},
    "recommend": {"model": "item-neighbors"},
    "evaluate": {"k": KS},
}


@pytest.fixture(scope="module")
def shop(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Report]:
    """`shop(**settings)` evaluates the lists of the shop with these settings."""
    root = tmp_path_factory.mktemp("shop")
    publish_all(publish, root, TRAINING, WITHHELD, COLD, LISTS, HOLDOUT)
    return lambda **settings: evaluated(root, SHOP | {"evaluate": SHOP["evaluate"] | settings})


@pytest.fixture(scope="module")
def report(shop: Callable[..., Report]) -> Report:
    return shop()


@pytest.fixture(scope="module")
def of_fours(shop: Callable[..., Report]) -> Report:
    return shop(relevant_from=4.0)


def relevant_items(least: float, items: list[int] = ITEMS) -> dict[int, set[int]]:
    relevant: dict[int, set[int]] = {}
    for (user, item), value in WITHHELD.items():
        if value >= least and item in items:
            relevant.setdefault(user, set()).add(item)
    return relevant


def naive(relevant: set[int], items: list[int], k: int) -> dict[str, float]:
    """Four of the definitions, for one user, with loops."""
    hits = [rank for rank, item in enumerate(items[:k], 1) if item in relevant]
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return {
        f"precision@{k}": len(hits) / k,
        f"recall@{k}/n": len(hits) / len(relevant),
        f"hit_rate@{k}": float(bool(hits)),
        f"ndcg@{k}": sum(1 / math.log2(rank + 1) for rank in hits) / ideal,
    }


def assert_measured(
    report: Report, model: str, lists: Lists, least: float = 0, items: list[int] = ITEMS
) -> None:
    """The model's rows are those of the lists, where only `items` count."""
    relevant = relevant_items(least, items)
    for k in KS:
        each = [naive(wanted, lists.get(user, []), k) for user, wanted in relevant.items()]
        for metric in each[0]:
            values = np.array([user[metric] for user in each])
            row = report["by_name"][model, metric]
            assert row["users"] == len(relevant)
            assert row["value"] == pytest.approx(values.mean())
            assert row["standard_error"] == pytest.approx(
                values.std(ddof=1) / math.sqrt(len(values))
            )
        shown = {item for user in relevant for item in lists.get(user, [])[:k] if item in items}
        coverage = report["by_name"][model, f"coverage@{k}"]
        assert (coverage["value"], coverage["items"]) == (
            pytest.approx(len(shown) / len(items)),
            len(items),
        )


def popular_lists() -> Lists:
    counts = Counter(item for _, item in TRAINING)
    ranked = sorted(ITEMS, key=lambda item: -counts[item])
    return {
        user: [item for item in ranked if (user, item) not in TRAINING]
        for user in [*USERS, NEWCOMER]
    }


def test_published_lists_measure_as_a_loop_over_them_says(report: Report) -> None:
    assert_measured(report, "item-neighbors", LISTS)


def test_the_most_popular_items_measure_as_a_loop_over_them_says(report: Report) -> None:
    assert_measured(report, "most-popular", popular_lists())


def test_only_held_out_values_from_the_threshold_on_are_relevant(of_fours: Report) -> None:
    assert_measured(of_fours, "item-neighbors", LISTS, least=4)
    assert_measured(of_fours, "most-popular", popular_lists(), least=4)


def test_random_lists_are_near_their_expectation(report: Report) -> None:
    relevant = relevant_items(0)
    unseen = {user: sum((user, item) not in TRAINING for item in ITEMS) for user in relevant}
    for k in KS:
        row = report["by_name"]["random", f"precision@{k}"]
        expected = np.mean([len(items) / unseen[user] for user, items in relevant.items()])
        assert row["value"] == pytest.approx(expected, abs=4 * row["standard_error"])
        assert 0 < row["standard_error"] < 0.05
        assert report["by_name"]["random", f"coverage@{k}"]["value"] == pytest.approx(1, abs=0.05)


def test_users_of_cold_items_only_are_not_counted(report: Report) -> None:
    assert ONLY_COLD not in relevant_items(0)
    of_lists = ("mean_popularity", "self_information")  # which not everybody has
    counted = {
        row["users"]
        for row in report["metrics"]
        if "users" in row and not row["metric"].startswith(of_lists)
    }
    assert counted == {len(relevant_items(0))}


def test_rows_come_by_model_and_every_model_has_every_metric(report: Report) -> None:
    models = [row["model"] for row in report["metrics"]]
    assert list(dict.fromkeys(models)) == ["item-neighbors", "most-popular", "random"]
    assert models == sorted(models)
    metrics = {
        model: [row["metric"] for row in report["metrics"] if row["model"] == model]
        for model in models
    }
    assert metrics["item-neighbors"] == metrics["most-popular"] == metrics["random"]
    assert metrics["random"][-4:] == ["coverage@2", "gini@2", "coverage@5", "gini@5"]


def protocol_hash(
    publish: Publish,
    root: Path,
    sections: dict[str, Row],
    holdout: Row = HOLDOUT,
    cleaned: Row | None = None,
) -> str:
    """The protocol's hash of a stage that is configured like this and has not run."""
    publish(root, "split-ratings", "holdout", [], cleaning=cleaned or {}, protocol=holdout)
    publish(root, "recommend-holdout", "holdout_recommendations", [])
    config = Config.model_validate(sections)
    (stage,) = stages.select(config, "evaluate")
    inputs = Inputs(
        {name: manifests.load(root, name) for name in ("holdout", "holdout_recommendations")}
    )
    return str(holdout_protocol(begin(config, stage, Roots(root), inputs))["hash"])


def test_the_protocols_hash_changes_with_the_protocol_only(
    report: Report, publish: Publish, tmp_path: Path
) -> None:
    same = report["protocol"]["hash"]
    assert protocol_hash(publish, tmp_path, SHOP) == same
    assert (
        protocol_hash(
            publish,
            tmp_path,
            {"als": {}, "recommend": {"top_k": 20}, "evaluate": {"k": (1, 20), "seed": 9}},
        )
        == same
    )
    others = [
        protocol_hash(publish, tmp_path, SHOP | {"evaluate": {"relevant_from": 3.0}}),
        protocol_hash(publish, tmp_path, SHOP | {"evaluate": {"relevant_from": 4.0}}),
        protocol_hash(publish, tmp_path, SHOP, HOLDOUT | {"fraction": 0.3}),
        protocol_hash(publish, tmp_path, SHOP, HOLDOUT | {"seed": 2}),
    ]
    assert len({same, *others}) == 5


RATINGS = {
    "path": "events.csv",
    "columns": {"user_id": "user", "item_id": "item", "value": "value", "timestamp": "time"},
}


@pytest.mark.parametrize(
    ("cleaning", "is_another"),
    [
        ({"min_user_ratings": 5}, True),
        ({"min_item_ratings": 5}, True),
        ({"keep": "sum"}, True),
        ({"value": "count"}, True),
        ({"min_value": 1.0}, True),
        ({"max_value": 5.0}, True),
        ({"last_days": 90.0}, True),
        ({"reject": [{"column": "user", "pattern": "^test", "reason": "a test"}]}, True),
        ({"clean_item_ids": [{"pattern": "-old$"}]}, True),
        ({"user_ids": "integer"}, True),
        ({"columns": RATINGS["columns"] | {"value": "stars"}}, True),
        ({"path": "elsewhere.csv"}, False),
        ({"separator": ";", "encoding": "latin-1", "decimal": ","}, False),
        ({"timestamp_format": "iso"}, False),
        ({"until": "2025-11-28"}, False),  # which data: a window moves with the days
    ],
)
def test_the_protocols_hash_changes_with_the_cleaning(
    publish: Publish, tmp_path: Path, cleaning: Row, is_another: bool
) -> None:
    hashes = {
        protocol_hash(
            publish,
            tmp_path / name,
            SHOP,
            cleaned=RatingsConfig.model_validate(RATINGS | settings).what(),
        )
        for name, settings in (("plain", {}), ("other", cleaning))
    }
    assert len(hashes) == 1 + is_another


def test_the_protocol_says_what_was_withheld_and_what_is_relevant(
    report: Report, of_fours: Report
) -> None:
    assert report["protocol"]["name"] == of_fours["protocol"]["name"] == "fraction holdout, seed 1"
    assert report["protocol"]["holdout"] == HOLDOUT
    assert report["protocol"]["relevant"] == "every held-out rating"
    assert of_fours["protocol"]["relevant"] == "held-out value >= 4"


def test_where_items_are_listed_no_others_are_candidates_or_relevant(
    publish: Publish, tmp_path: Path, report: Report
) -> None:
    """All contestants, and what is held out, beside loops that never see the other items."""
    in_stock = ITEMS[5:18]
    lists = {user: [item for item in items if item in in_stock] for user, items in LISTS.items()}
    publish_all(publish, tmp_path, TRAINING, WITHHELD, COLD, lists, HOLDOUT)
    publish(
        tmp_path,
        "recommend-holdout",
        "holdout_recommendable_items",
        [{"item": item} for item in [*in_stock, 5000]],
    )
    limited = evaluated(
        tmp_path, SHOP | {"recommend": SHOP["recommend"] | {"candidates": "stock.csv"}}
    )
    popular = {
        user: [item for item in items if item in in_stock]
        for user, items in popular_lists().items()
    }
    assert_measured(limited, "item-neighbors", lists, items=in_stock)
    assert_measured(limited, "most-popular", popular, items=in_stock)
    assert limited["by_name"]["random", "coverage@5"]["value"] == pytest.approx(1, abs=0.05)
    assert limited["protocol"]["hash"] != report["protocol"]["hash"]


def test_nothing_relevant_is_an_error(shop: Callable[..., Report]) -> None:
    with pytest.raises(EmptyDatasetError, match="no held-out rating is relevant"):
        shop(relevant_from=5.5)


def test_a_holdout_without_rows_is_an_error_that_says_so(publish: Publish, tmp_path: Path) -> None:
    publish_all(publish, tmp_path, TRAINING, {}, {}, LISTS, HOLDOUT)
    with pytest.raises(EmptyDatasetError, match="no held-out rating is relevant; withhold more"):
        evaluated(tmp_path, SHOP)


def test_a_single_user_is_measured_without_an_error_and_decides_nothing(
    publish: Publish, tmp_path: Path
) -> None:
    """The only list has its one hit at rank 2; the mean over one user has no standard error."""
    training = {(0, item): 1.0 for item in (0, 1)} | {(1, item): 1.0 for item in (2, 3, 4)}
    publish_all(publish, tmp_path, training, {(0, 3): 1.0}, {}, {0: [2, 3]}, HOLDOUT)
    report = evaluated(tmp_path, SHOP)
    found = report["by_name"]["item-neighbors", "ndcg@2"]
    measures = {name: value for name, value in report.items() if name != "by_name"}
    assert found["value"] == pytest.approx(1 / math.log2(3))
    assert (found["users"], found["standard_error"]) == (1, None)
    standings = {
        comparison.standing for comparison in trivial.not_beaten(reports_in({"holdout": measures}))
    }
    assert standings <= {"undecided"}


# ------------------------------------------------------------------------------------------
# explicit feedback, by hand

# means: all 3; items 3, 4, 2; users 4.5, 1.5
RATED: Pairs = {(0, 0): 5, (0, 1): 4, (1, 0): 1, (1, 2): 2}
HELD: Pairs = {(0, 2): 4, (1, 1): 2, (2, 0): 5, (0, 7): 1}  # user 2 and item 7 have no factors
FACTORS = {
    "user": {0: [1.0, 1.0], 1: [1.0, 0.5]},
    "item": {0: [1.0, 1.0], 1: [2.0, 1.0], 2: [3.0, 3.0]},
}
# of lists: predicted ratings do not look at them
NEIGHBORS = {"item": [(2, 1, 0.5)], "user": [(0, 1, 0.8)]}
# Damped by 1, items' biases are 0, 0.5 and -0.5, and users' 2.5 / 3 and -2.5 / 3.
BIASES = [3 - 0.5 + 2.5 / 3, 3 + 0.5 - 2.5 / 3, 3, 3 + 2.5 / 3]
SCALE = {"min_value": 0.5, "max_value": 5.5}
# So damped that all biases are 0. What is left: 2 and 1 of user 0, -2 and -1 of user 1; the users
# are unlike each other, and item 0 is like both others, which are not like each other.
RULE = {"damping": 1e9, "shrinkage": 0.0, "prior": 0.0}
ERRORS = {  # for each of HELD, in its order
    "als": [5.5 - 4, 2.5 - 2, BIASES[2] - 5, BIASES[3] - 1],  # clipped where the factors say 6
    "item-neighbors": [3 + 2 - 4, 3 - 2 - 2, BIASES[2] - 5, BIASES[3] - 1],
    "user-neighbors": [bias - value for bias, value in zip(BIASES, HELD.values(), strict=True)],
    "biases": [bias - value for bias, value in zip(BIASES, HELD.values(), strict=True)],
    "item-mean": [2 - 4, 4 - 2, 3 - 5, 3 - 1],
    "user-mean": [4.5 - 4, 1.5 - 2, 3 - 5, 4.5 - 1],
    "global-mean": [3 - 4, 3 - 2, 3 - 5, 3 - 1],
}
UNANSWERED = {"als": 2, "item-neighbors": 2, "user-neighbors": 4}


@pytest.fixture(scope="module")
def explicit(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Relevant from 4 on: item 2 to user 0, item 0 to user 2; user 1 has a list but nothing
    relevant.
    """
    return evaluated_explicit(publish, tmp_path_factory.mktemp("explicit"), NEIGHBORS)


def evaluated_explicit(
    publish: Publish, root: Path, tables: dict[str, list[tuple[int, int, float]]]
) -> Report:
    """With these tables of neighbours."""
    publish_all(
        publish,
        root,
        RATED,
        HELD,
        {(1, 9): 5.0},
        {0: [1, 2], 1: [2], 2: [0]},
        HOLDOUT,
        SCALE,
        "als",
    )
    for side, factors in FACTORS.items():
        publish(
            root,
            "train-als",
            f"{side}_rating_factors",
            [{side: id_, "factors": vector} for id_, vector in factors.items()],
        )
    rows = [{"item": item, "factors": [1.0, float(item)]} for item in range(3)]
    publish(root, "train-als", "item_factors", rows)
    for side, neighbors in tables.items():
        rows = [
            {side: own, "neighbor": neighbor, "similarity": similarity}
            for own, neighbor, similarity in neighbors
        ]
        publish(root, "train-cosine", f"{side}_neighbors", rows, config={"ratings": RULE})
    raw = {
        "path": "unread",
        "columns": {"user_id": "u", "item_id": "i", "value": "v"},
    }
    split = {"by": "fraction", "fraction": 0.5}
    sections: dict[str, Row] = {
        "ratings": raw,
        "split": split,
        "als": {},
        "cosine": {},
        "recommend": {},
    }
    return evaluated(
        root, sections | {"evaluate": {"k": (1, 2), "relevant_from": 4.0, "damping": 1.0}}
    )


@pytest.mark.parametrize("model", list(ERRORS))
def test_rating_errors_are_those_computed_by_hand(explicit: Report, model: str) -> None:
    errors = np.array(ERRORS[model])
    rmse, mae = (explicit["by_name"][model, metric] for metric in ("rmse", "mae"))
    assert rmse["ratings"] == mae["ratings"] == 4
    assert rmse["value"] == pytest.approx(math.sqrt(sum(error**2 for error in errors) / 4))
    assert mae["value"] == pytest.approx(sum(map(abs, errors)) / 4)
    # of user 0 there are two ratings, which are not independent of each other
    for row, each in ((rmse, errors**2), (mae, np.abs(errors))):
        by_user = np.array([each[0] + each[3], each[1], each[2]])
        left = by_user - each.mean() * np.array([2, 1, 1])
        error = np.sqrt((left**2).sum() * 3 / 2) / 4
        scale = 2 * rmse["value"] if row is rmse else 1
        assert row["standard_error"] == pytest.approx(error / scale)


def test_neighbour_tables_without_rows_leave_predicted_ratings_as_they_are(
    publish: Publish, tmp_path: Path, explicit: Report
) -> None:
    """What predicts ratings by neighbours finds them among what a user rated."""
    bare = evaluated_explicit(publish, tmp_path, {"item": [], "user": []})
    for model in ERRORS:
        found, expected = (report["by_name"][model, "rmse"] for report in (bare, explicit))
        assert found["value"] == pytest.approx(expected["value"])


def test_each_model_says_how_many_ratings_it_left_to_the_biases(explicit: Report) -> None:
    for model, count in UNANSWERED.items():
        assert explicit["by_name"][model, "rmse"]["answered_by_biases"] == count
    assert "answered_by_biases" not in explicit["by_name"]["biases", "rmse"]


def test_ranking_metrics_are_those_computed_by_hand(explicit: Report) -> None:
    """User 0 has the hit at rank 2, user 2 at rank 1; three items are rated in training."""
    measured = {
        metric: row["value"]
        for (model, metric), row in explicit["by_name"].items()
        if model == "als"
    }
    at_two = {"precision@2": 1 / 2, "recall@2/n": 1, "recall@2/min(k,n)": 1, "hit_rate@2": 1}
    at_two |= {"ndcg@2": (1 / math.log2(3) + 1) / 2, "map@2/min(k,n)": (1 / 2 + 1) / 2}
    at_one = dict.fromkeys(
        (
            "precision@1",
            "recall@1/n",
            "recall@1/min(k,n)",
            "hit_rate@1",
            "ndcg@1",
            "map@1/min(k,n)",
        ),
        1 / 2,
    )
    expected = at_one | at_two | {"coverage@1": 2 / 3, "coverage@2": 1}
    assert {metric: measured[metric] for metric in expected} == pytest.approx(expected)


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_pairs_are_predicted_by_their_factors_if_both_sides_have_any(
    flow: Flow, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks so small that there are several of users, of items, and of cells."""
    monkeypatch.setattr(topk, "BYTES_PER_GROUP", 1000)
    rng = np.random.default_rng(3)
    factors = {
        "user": {5000 * u: rng.normal(size=8).astype(np.float32) for u in range(9)},
        "item": {3000 * i: rng.normal(size=8).astype(np.float32) for i in range(20)},
    }
    pairs = [(u, i) for u in [*factors["user"], 7] for i in [*factors["item"], 8]]
    tables = {}
    for (side, rows), name in zip(factors.items(), ALS.ratings, strict=True):
        vectors = pa.array([row.tolist() for row in rows.values()], pa.list_(pa.float32()))
        columns = [pa.array(list(rows), pa.int32()), vectors]
        tables[name] = given(flow, pa.table(columns, names=[side, "factors"]), parts)
    wanted = pa.table(
        [pa.array(side, pa.int32()) for side in zip(*pairs, strict=True)], names=["user", "item"]
    )
    rated = Rated(flow, tables, lambda name: ProducedBy("", "", ""))
    found = predict(given(flow, wanted, parts), rated).table()
    assert {(row["user"], row["item"]): row["predicted"] for row in found.to_pylist()} == (
        pytest.approx(
            {
                (u, i): float(left @ right)
                for u, left in factors["user"].items()
                for i, right in factors["item"].items()
            },
            abs=1e-5,
        )
    )
