"""What is kept of every user and item, and what comes of it: slices, comparisons, leaks, beside
loops and by hand.
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from tests.flows import given

from emberline import stages
from emberline.cf.confusion import BINS, LABELLED, PREDICTED, TRUE, Counts, count
from emberline.cf.measures import Named, long_rows
from emberline.cf.metrics import per_class
from emberline.cf.sums import decoded
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy
from emberline.datasets.measures import Report, reports_in
from emberline.datasets.parts import write_rows
from emberline.datasets.schema import USER_MEASURES, fields_of
from emberline.errors import ConfigError, DataError
from emberline.evaluation import leaks, slices
from emberline.evaluation.samples import Tables
from emberline.flow.here import Here
from emberline.flow.rows import Flow
from emberline.publish.standing import standing
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]
Pairs = dict[tuple[int, int], float]

# Two tastes: even users rate even items, odd users odd ones, each user 3 and more.
# What is withheld of a user is of their taste, and so are lists, without what they have.
RNG = np.random.default_rng(4)
USERS, ITEMS = range(80), range(40)
LIKED = {user: RNG.permutation([i for i in ITEMS if i % 2 == user % 2]).tolist() for user in USERS}
SIZES = {user: 3 + user // 10 for user in USERS}
TRAINING: Pairs = {(u, i): 1.0 for u in USERS for i in LIKED[u][: SIZES[u]]}
HELD: Pairs = {(u, i): 2.0 for u in USERS for i in LIKED[u][SIZES[u] : SIZES[u] + 3]}
LISTS = {u: RNG.permutation(LIKED[u][SIZES[u] :]).tolist()[:5] for u in USERS}
LABELS = {user: ("north" if user < 30 else "south") for user in USERS}
SECTIONS: Row = {
    "ratings": {"path": "unread", "columns": {"user_id": "u", "item_id": "i"}, "value": "one"},
    "attributes": {"users": [{"path": "unread", "columns": {"id": "u", "label": "region"}}]},
    "split": {"by": "fraction", "fraction": 0.2},
    "cosine": {},
    "recommend": {"model": "item-neighbors"},
    "evaluate": {"k": (5,), "slice_by": "label"},
}


def publish_all(publish: Publish, root: Path, held: Pairs) -> None:
    rows = {
        name: [{"user": u, "item": i, "value": value} for (u, i), value in pairs.items()]
        for name, pairs in (("ratings", TRAINING), ("holdout", held))
    }
    protocol = {"by": "fraction", "fraction": 0.2, "seed": 1}
    publish(root, "split-ratings", "ratings", rows["ratings"], cleaning={})
    cold = [row | {"cold": False} for row in rows["holdout"]]
    publish(root, "split-ratings", "holdout", cold, protocol=protocol, cleaning={})
    lists = [
        {"user": u, "item": i, "rank": rank, "score": -float(rank), "model": "item-neighbors"}
        for u, items in LISTS.items()
        for rank, i in enumerate(items, 1)
    ]
    made = {"model": "item-neighbors"}
    publish(root, "recommend-holdout", "holdout_recommendations", lists, config=made)
    people = [
        {"user": u, "user_id": f"c{u}", "label": label, "genres": [], "tags": [], "numbers": []}
        for u, label in LABELS.items()
    ]
    publish(root, "prepare-items", "user_attributes", people, numbers=[])


def evaluated(root: Path, **settings: Any) -> Report:
    config = Config.model_validate(SECTIONS | {"evaluate": SECTIONS["evaluate"] | settings})
    runner.run(config, root, stages.select(config, "evaluate"))
    text = manifests.load(root, "metrics").paths[0].read_text()
    return reports_in(json.loads(text)["reports"])["holdout"]


@pytest.fixture(scope="module")
def shop(publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tastes")
    publish_all(publish, root, HELD)
    return root


@pytest.fixture(scope="module")
def report(shop: Path) -> Report:
    return evaluated(shop)


def ndcg(user: int) -> float:
    hits = [rank for rank, item in enumerate(LISTS[user], 1) if (user, item) in HELD]
    ideal = sum(1 / math.log2(rank + 1) for rank in (1, 2, 3))
    return sum(1 / math.log2(rank + 1) for rank in hits) / ideal


def rows_of(root: Path, name: str) -> list[Row]:
    paths = manifests.load(root, name).paths
    found: list[Row] = pa.concat_tables(map(pq.read_table, paths)).to_pylist()
    return found


def test_every_user_has_a_row_of_what_metrics_are_means_of(shop: Path, report: Report) -> None:
    rows = [row for row in rows_of(shop, "user_measures") if row["model"] == "item-neighbors"]
    found = {row["user"]: row["value"] for row in rows if row["metric"] == "ndcg@5"}
    assert found == pytest.approx({user: ndcg(user) for user in USERS})
    means: dict[str, list[float]] = {}
    for row in rows:
        assert (row["report"], row["weight"]) == ("holdout", 1)
        means.setdefault(row["metric"], []).append(row["value"])
    told = {row.metric: row.value for row in report.metrics if row.model == "item-neighbors"}
    assert {name: told[name] for name in means} == pytest.approx(
        {name: np.mean(values) for name, values in means.items()}
    )
    for row in report.metrics:
        if row.interval:
            assert row.interval[0] <= row.value <= row.interval[1]


def test_items_are_counted_in_lists_and_among_what_was_wanted(shop: Path) -> None:
    rows = {
        (row["metric"], row["item"]): (row["value"], row["weight"])
        for row in rows_of(shop, "item_measures")
        if row["model"] == "item-neighbors"
    }
    for item in ITEMS:
        lists = [u for u in USERS if item in LISTS[u]]
        wanted = [u for u in USERS if (u, item) in HELD]
        hits = [u for u in lists if u in wanted]
        assert rows["listed@5", item] == (len(lists), 1)
        if wanted:
            expected = len(hits) / len(wanted), len(wanted)
            assert rows["recall@5/pairs", item] == pytest.approx(expected)


def test_slices_are_of_quarters_by_history_and_of_labels(report: Report) -> None:
    found = {
        (row.by, row.slice): (row.value, row.users)
        for row in report.slices
        if (row.model, row.metric) == ("item-neighbors", "ndcg@5")
    }
    quarters = [range(first, first + 20) for first in range(0, 80, 20)]
    names = ["3 to 4 ratings", "5 to 6 ratings", "7 to 8 ratings", "9 to 10 ratings"]
    expected = {
        ("length of history", name): quarter for name, quarter in zip(names, quarters, strict=True)
    } | {("label", "south"): range(30, 80), ("label", "north"): range(30)}
    assert found.keys() == expected.keys()
    for place, users in expected.items():
        mean = np.mean([ndcg(user) for user in users])
        assert found[place] == (pytest.approx(mean), len(users))


def test_slices_by_popularity_have_the_pairs_of_a_tenth_of_the_items(report: Report) -> None:
    """Four items each, but for ties at the edges; all pairs are in one of them."""
    rows = [row for row in report.slices if row.by == "popularity of the item"]
    mine = [row for row in rows if row.model == "item-neighbors"]
    assert len(mine) == 10 and mine[0].slice.startswith("tenth 1: ")
    assert {row.metric for row in rows} == {"recall@5/pairs"}
    assert sum(row.items or 0 for row in mine) <= len(ITEMS)


def test_what_nobody_says_of_users_cannot_tell_them_apart(shop: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'age' is nothing that .* says of users; what is: 'label'"
    ):
        evaluated(shop, slice_by="age")


def test_a_number_of_users_makes_quarters() -> None:
    with Here(memory=1 << 30, cores=2) as flow:
        numbers = pa.array([[float(user)] if user else [None] for user in range(9)])
        table = pa.table({"user": pa.array(range(9), pa.int32()), "numbers": numbers})
        found = slices.by_attribute(given(flow, table), "age", ["age"])
    assert found.names == ["1 to 2", "3 to 4", "5 to 6", "7 to 8"]
    assert found.groups.of(np.arange(10, dtype=np.int32)).tolist() == [
        -1,
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        -1,
    ]


def row_of(report: Report, model: str) -> Any:
    return next(r for r in report.metrics if (r.model, r.metric) == (model, "ndcg@5"))


def test_lists_that_know_a_taste_are_better_and_shuffled_labels_are_not(
    report: Report, publish: Publish, tmp_path: Path
) -> None:
    """Whose items are whose is shuffled: what was withheld is of anybody's taste."""
    rows = [row_of(report, model) for model in ("item-neighbors", "random")]
    assert standing(*rows, report) == "better"
    shuffled: Pairs = {}
    for user, other in zip(USERS, RNG.permutation(len(USERS)).tolist(), strict=True):
        wanted = [item for item in range(40) if (user, item) not in TRAINING]
        shuffled |= {
            (user, wanted[(item + other) % len(wanted)]): 2.0
            for _, item in [pair for pair in HELD if pair[0] == other]
        }
    publish_all(publish, tmp_path, shuffled)
    by_chance = evaluated(tmp_path)
    rows = [row_of(by_chance, model) for model in ("item-neighbors", "random")]
    assert standing(*rows, by_chance) == "undecided"
    assert {row.adjusted > 0.05 for row in by_chance.comparisons} == {True}


def test_a_pair_that_is_trained_on_and_held_out_stops_the_evaluation(
    publish: Publish, tmp_path: Path
) -> None:
    publish_all(publish, tmp_path, HELD | {(7, LIKED[7][0]): 2.0})
    told = f"user 7 and item {LIKED[7][0]} .as indices. are in ratings and in holdout"
    with pytest.raises(DataError, match=told):
        evaluated(tmp_path)
    assert not manifests.exists(tmp_path, "metrics")


@pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)
def test_the_first_pair_in_both_sets_is_named_whatever_the_parts(flow: Flow) -> None:
    """Users 5 and 5000, in blocks of their own, each with one of 30 pairs."""
    pairs = [(user, item) for user in (5, 5000) for item in range(30)]
    users, items = (pa.array(side, pa.int32()) for side in zip(*pairs, strict=True))
    rated = pa.table({"user": users, "item": items})
    leaks.check(
        flow,
        given(flow, rated.filter(pa.array([i < 15 for _, i in pairs])), 3),
        given(flow, rated.filter(pa.array([i >= 15 for _, i in pairs])), 2),
    )
    held = rated.filter(pa.array([i == 21 for _, i in pairs]))
    with pytest.raises(DataError, match="user 5 and item 21 "):
        leaks.check(flow, given(flow, rated, 3), given(flow, held, 2))


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_figures_do_not_depend_on_the_parts(parts: int, shop: Path, report: Report) -> None:
    with Here(memory=1 << 30, cores=2) as flow:
        tables = [
            given(
                flow, pa.concat_tables(map(pq.read_table, manifests.load(shop, name).paths)), parts
            )
            for name in ("user_measures", "item_measures")
        ]
        keys = [("holdout", model, "ndcg@5") for model in ("item-neighbors", "random")]
        found = Tables(*tables, 1000, 1).samples(flow, keys, [])
    for key in keys:
        row = row_of(report, key[1])
        assert found[key].value == pytest.approx(row.value, rel=1e-12)
        assert found[key].interval() == pytest.approx(row.interval, rel=1e-12)


def test_accuracy_classes_and_calibration_are_scikit_learns_and_by_hand() -> None:
    true = RNG.integers(0, 4, 300)
    said = np.where(RNG.random(300) < 0.7, true, RNG.integers(0, 4, 300))
    sure = RNG.choice([0.25, 0.5, 0.95], 300)
    items = np.arange(300, dtype=np.int32)
    nothing = [None] * 300
    batches = [
        pa.record_batch(
            [np.zeros(300, np.int32), np.full(300, model, np.int32), items, *columns],
            schema=LABELLED,
        )
        for model, columns in (
            (TRUE, [true.astype(np.int32), nothing, nothing]),
            (PREDICTED, [said.astype(np.int32), [[s] for s in said.tolist()], sure]),
        )
    ]
    (vector,) = decoded(pa.Table.from_batches(list(count(iter(batches), 4))).to_pylist()).values()
    found = Counts.of(vector, 4)
    assert np.trace(found.confusion) / 300 == pytest.approx(accuracy_score(true, said))
    theirs = precision_recall_fscore_support(true, said, zero_division=0)[:3]
    np.testing.assert_allclose(per_class(found.confusion), np.array(theirs).T)
    # three of the bins are filled: by how much the share that is right differs from what was said
    error = sum(
        np.mean(sure == p) * abs(np.mean((true == said)[sure == p]) - p) for p in (0.25, 0.5, 0.95)
    )
    assert found.calibration_error() == pytest.approx(error, abs=1e-6)
    assert found.bins is not None and (found.bins[0] > 0).sum() == 3 and BINS == 15


@pytest.mark.faults
def test_intervals_of_60000_users_and_12_metrics_take_less_than_ten_seconds(tmp_path: Path) -> None:
    """Of three models, from the table: of processor time."""
    metrics = tuple(f"m{number}" for number in range(12))
    named = Named("holdout", ("als", "most-popular", "random"), metrics)
    blocks = [np.arange(first, first + 2000, dtype=np.int32) for first in range(0, 60_000, 2000)]
    batches = [
        long_rows(named, model, "user", ids, RNG.integers(0, 200, (2000, 12)) / 200, np.ones(2000))
        for ids in blocks
        for model in named.models
    ]
    part = write_rows(iter(batches), tmp_path / "user_measures" / "a", "part", USER_MEASURES)
    assert part is not None and part.bytes < 5 * part.rows
    made = ProducedBy("evaluate", "0" * 64, "a")
    fields = fields_of(USER_MEASURES)
    manifest = Manifest("user_measures", "table", fields, part.rows, [part], made)
    with Here(memory=4 << 30, cores=2) as flow:
        source = flow.read(Dataset(tmp_path / "user_measures", manifest))
        began = time.process_time()
        found = Tables(source, source, 1000, 1).samples(flow, named.keys, [])
        assert None not in [sample.interval() for sample in found.values()]
        assert time.process_time() - began < 10
    assert len(found) == 36
