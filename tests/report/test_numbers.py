"""The numbers that the report computes itself, compared with ones found by hand."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from emberline.datasets import manifest as manifests
from emberline.datasets.drawing import draw
from emberline.datasets.facts import AlsTraining
from emberline.datasets.measures import Measured, Protocol, Report
from emberline.report import (
    charts,
    classes,
    gains,
    lists,
    made,
    measures,
    people,
    ratings,
    text,
    training,
)
from emberline.sections.als import AlsConfig
from emberline.sections.recommend import ItemListConfig


def test_values_are_told_apart_to_two_digits() -> None:
    exact = np.array([0.5, 4.5, 0.0, -1.25, 99.0, 1234.0, 12_999_999.0], np.float32)
    assert ratings._rounded(exact).tolist() == [0.5, 4.5, 0.0, -1.2, 99.0, 1200.0, 13_000_000.0]


def test_few_values_have_a_column_each() -> None:
    assert ratings._binned(ratings.Counter({5.0: 3, 0.5: 1})) == (["0.5", "5"], [1, 3])


def test_many_whole_values_have_columns_that_begin_at_whole_values() -> None:
    labels, counts = ratings._binned(
        ratings.Counter({float(value): value for value in range(1, 49)})
    )
    assert (labels[:3], labels[-1], counts[:2], counts[-1]) == (
        ["1", "3", "5"],
        "46",
        [1 + 2, 3 + 4],
        46 + 47 + 48,
    )
    assert sum(counts) == 48 * 49 // 2


def test_a_tenth_of_the_items_and_those_without_ratings_are_counted() -> None:
    # nine rated items; a tenth of them is one
    by_item = np.array([60.0, 0, 5, 5, 5, 5, 5, 5, 5, 5, 0])
    assert (
        ratings._sentence(by_item, 13)
        == "The 1 most rated of 9 items (a tenth) have 60.0% of all ratings; "
        "4 of 13 items have none, because they are new or withheld."
    )


def test_users_are_drawn_among_those_with_a_list_and_by_the_seed(
    root: Path, write_ratings: Callable[..., None]
) -> None:
    write_ratings(root)
    published = manifests.load(root, "recommendations")
    assert draw(published, 5, seed=1) == [0, 1]
    assert {draw(published, 1, seed)[0] for seed in range(8)} == {0, 1}


def test_an_item_is_called_by_its_attributes_its_ratings_or_its_id(
    root: Path, write_ratings: Callable[..., None], write_pictures: Callable[..., None]
) -> None:
    write_ratings(root)
    write_pictures(root, items=(1, 3, 6))
    inputs = {name: manifests.load(root, name) for name in ("items", "item_attributes", "images")}
    found = people.items_of(inputs, {1, 3, 4, 6, 7})
    titles = {1: "Plain", 3: "From the attributes", 4: "New thing", 6: "i-6", 7: "item 7"}
    assert {item: shown.title for item, shown in found.items()} == titles
    assert {item for item, shown in found.items() if shown.picture} == {1, 3, 6}
    assert people.items_of({"items": inputs["items"]}, {3})[3].title == "i-3"


def test_implicit_histories_begin_with_the_latest() -> None:
    rows = [
        {"item": item, "value": 9.0 - item, "timestamp": datetime(2024, 1, item, tzinfo=UTC)}
        for item in (1, 3, 2)
    ]
    rows.append({"item": 4, "value": 99.0, "timestamp": None})
    assert [row["item"] for row in sorted(rows, key=people._implicit_order)] == [3, 2, 1, 4]


def test_the_best_is_the_lowest_error_and_the_oracle_does_not_compete() -> None:
    rows = [_rated("oracle", 0.1), _rated("item-mean", 0.9), _rated("als", 0.8)]
    (line,) = measures._lines(rows, ["oracle", "item-mean", "als"], _reports(rows)["holdout"])
    assert [cell and cell.is_best for cell in line.cells] == [False, False, True]
    assert line.over == "9 ratings"
    (gain,) = gains.gains(_reports(rows))
    assert gain == gains.Gain(
        "Predicted ratings",
        "rmse",
        "als",
        "0.800",
        "item-mean",
        "0.900",
        "better",
        key="holdout",
        over="9 ratings",
    )


def _reports(rows: list[Measured]) -> dict[str, Report]:
    return {"holdout": Report(Protocol("of a test", "a"), rows)}


def _rated(model: str, value: float, error: float | None = 0.01, **more: int) -> Measured:
    return Measured(model, "rmse", value, error, ratings=9, **more)


def _ranked(model: str, value: float, error: float | None = 0.01) -> Measured:
    return Measured(model, "ndcg@5", value, error, users=3)


def test_each_model_says_its_own_number_of_ratings_without_an_answer() -> None:
    missing = {"als": 829, "biases": None, "item-neighbors": 3916}
    rows = [
        Measured(model, "rmse", 0.8, 0.1, ratings=9000, answered_by_biases=count)
        for model, count in missing.items()
    ]
    (line,) = measures._lines(rows, ["als", "item-neighbors", "biases"], _reports(rows)["holdout"])
    notes = [cell and cell.note for cell in line.cells]
    assert notes == ["829 answered by the biases", "3,916 answered by the biases", ""]
    assert line.over == "9,000 ratings"


def test_a_model_that_loses_says_so() -> None:
    rows = [_ranked("als", 0.1), _ranked("random", 0.05), _ranked("most-popular", 0.2)]
    (gain,) = gains.gains(_reports(rows))
    assert gain == gains.Gain(
        "Held-out ratings",
        "ndcg@5",
        "als",
        "0.100",
        "most-popular",
        "0.200",
        "worse",
        key="holdout",
        over="3 users",
    )
    assert (
        gain.words
        == "worse than the best baseline, most-popular, with 0.200: that one serves better"
    )


@pytest.mark.parametrize(
    ("model", "baseline", "verdict"),
    [
        (_ranked("als", 0.25, 0.03), _ranked("random", 0.16, 0.04), "undecided"),  # 0.09 < 2 * 0.05
        (_ranked("als", 0.27, 0.03), _ranked("random", 0.16, 0.04), "better"),
        (_ranked("als", 0.16, 0.04), _ranked("random", 0.27, 0.03), "worse"),
        (_rated("als", 0.7, 0.03), _rated("item-mean", 0.9, 0.04), "better"),
        (_ranked("als", 0.9, None), _ranked("random", 0.1, 0.01), "undecided"),
    ],
)
def test_a_difference_within_the_error_is_no_win(
    model: Measured, baseline: Measured, verdict: str
) -> None:
    (gain,) = gains.gains(_reports([model, baseline]))
    assert gain.verdict == verdict
    (line,) = measures._lines(
        [model, baseline], ["als", baseline.model], _reports([model, baseline])["holdout"]
    )
    assert [cell and cell.is_best for cell in line.cells] == [
        verdict == "better",
        verdict == "worse",
    ]


def test_each_model_that_does_not_beat_a_trivial_answer_is_named() -> None:
    rows = [
        _rated("biases", 0.9),
        _rated("als", 0.8),
        _rated("item-neighbors", 0.91),
        _rated("user-neighbors", 1.0),
    ]
    assert gains.losses(_reports(rows)) == [
        (
            "item-neighbors is no better than biases, a trivial answer: rmse 0.910 against 0.900,"
            " a difference that may be chance."
        ),
        "user-neighbors loses to biases, a trivial answer: rmse 1.000 against 0.900.",
    ]


def test_lists_and_predicted_ratings_have_a_headline_each() -> None:
    rows = [
        _ranked("als", 0.3),
        _ranked("random", 0.1),
        _rated("als", 0.8),
        _rated("item-mean", 0.9),
    ]
    found = gains.gains(_reports(rows))
    assert [(gain.heading, gain.metric) for gain in found] == [
        ("Held-out ratings", "ndcg@5"),
        ("Predicted ratings", "rmse"),
    ]


def test_metrics_of_other_models_have_a_table_of_their_own() -> None:
    rows = [
        _ranked("als", 0.3),
        _ranked("random", 0.1),
        _rated("item-mean", 0.9),
        _rated("als", 0.8),
    ]
    first, second = measures._grids(_reports(rows)["holdout"], ["als", "random", "item-mean"])
    assert (first.models, [line.metric for line in first.lines]) == (
        [("als", True), ("random", False)],
        ["ndcg@5"],
    )
    assert second.models == [("als", True), ("item-mean", False)]
    assert [cell and cell.value for cell in second.lines[0].cells] == ["0.800", "0.900"]


@pytest.mark.parametrize(
    ("holdout", "said", "not_said"),
    [
        (
            {"by": "fraction", "fraction": 0.2, "seed": 1},
            "20% of each user's ratings, chosen by hash? That is from",
            "people",
        ),
        (
            {"by": "last", "n": 2, "seed": 1},
            "what each user rated last: the last 2 ratings of each user",
            "chose afterwards",
        ),
        (
            {"by": "time", "after": "2011-11-01", "seed": 1},
            "chose afterwards: ratings after 2011-11-01",
            "random",
        ),
        ({"by": "something new", "seed": 1}, "the ratings that were withheld", "afterwards"),
    ],
)
def test_what_is_asked_is_what_was_withheld(
    holdout: dict[str, Any], said: str, not_said: str
) -> None:
    question = measures._question("holdout", Protocol("of a test", "a", {"holdout": holdout}))
    assert said in question and not_said not in question


def test_iterations_are_not_called_epochs() -> None:
    history = [{"iteration": 1, "rmse": 0.9}, {"iteration": 2, "rmse": 0.8}]
    (curve,) = training._training("ALS", AlsTraining(history, 1.0, 1.0, 3.0, 1.0)).charts
    assert ">iteration</text>" in curve.svg and ">epoch<" not in curve.svg


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (59.96, "1 min 0 s"),
        (200.4, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_is_told_in_words(seconds: float, said: str) -> None:
    assert made.duration(seconds) == said


def test_settings_that_are_defaults_are_left_out() -> None:
    config = AlsConfig(rank=8, patience=2, feedback="auto").what()
    assert made.changed("als", config) == [
        made.Setting("rank", "8", "64"),
        made.Setting("patience", "2", "none"),
    ]
    columns = {"user_id": "u", "item_id": 2}
    assert made.changed("ratings", {"columns": columns}) == [
        made.Setting("columns.user_id", "u", None),
        made.Setting("columns.item_id", "2", None),
    ]
    split = {"by": "last", "n": 1, "cold_items": 0.0, "seed": 1}
    split["validation"] = {"by": "users", "users": 10}
    assert made.changed("split", split) == [
        made.Setting("by", "last", "none"),
        made.Setting("n", "1", "none"),
        made.Setting("validation.by", "users", "none"),
        made.Setting("validation.users", "10", "none"),
    ]
    candidates = ItemListConfig(path="p.csv", separator=";").what()
    assert made.changed("recommend", {"candidates": candidates}) == [
        made.Setting("candidates.separator", ";", ",")
    ]
    items = [{"columns": {"id": "a"}, "header": True}, {"columns": {"id": 1}, "header": False}]
    assert made.changed("attributes", {"items": items, "users": []}) == [
        made.Setting("items.1.columns.id", "a", None),
        made.Setting("items.2.columns.id", "1", None),
        made.Setting("items.2.header", "false", "true"),
    ]
    for numbers in (["price"], {"price": "p", "year": {"column": "t", "pattern": "(1...)"}}):
        (setting,) = made.changed("attributes", {"items": [{"numbers": numbers}]})
        assert (setting.name, json.loads(setting.value)) == ("items.numbers", numbers)


def test_new_items_are_counted(root: Path, write_ratings: Callable[..., None]) -> None:
    write_ratings(root)  # lists hold item 3 by als, 4 by cnn and 0 by als; rated are 0, 1 and 2
    tables = (manifests.load(root, name) for name in ("recommendations", "interactions"))
    found = lists.lists(*tables)
    assert (
        found.sentence
        == "The lists of 2 users hold 3 different items: 1 of the 3 items that somebody has"
        " rated, and 2 that nobody has."
    )
    assert [(o.badge, o.places, o.share, o.items) for o in found.origins] == [
        ("factors", 2, "66.7%", 2),
        ("new", 1, "33.3%", 1),
    ]


@pytest.mark.parametrize(
    ("holdout", "words"),
    [
        (
            {"by": "last", "n": 2, "cold_items": 0.0, "seed": 1},
            "the last 2 ratings of each user (seed 1)",
        ),
        (
            {"by": "time", "after": "2011-11-01 00:00:00", "seed": 1},
            "ratings after 2011-11-01 00:00:00 (seed 1)",
        ),
        (
            {"by": "time", "after": None, "last_days": 7.0, "seed": 1},
            "ratings of the last 7 days (seed 1)",
        ),
    ],
)
def test_a_holdout_is_told_in_words(holdout: dict[str, Any], words: str) -> None:
    assert measures.plain(holdout) == words


def test_many_classes_are_a_picture_and_their_mistakes_are_named() -> None:
    confusion = (np.eye(30, dtype=int) * 8).tolist()
    confusion[3][4], confusion[5][2] = 2, 8
    per_class = [
        {"model": "cnn", "class": "c0", "precision": 1.0, "recall": 1.0, "F1": 1.0, "pictures": 8}
    ]
    names = [f"c{place}" for place in range(40)]
    found = classes.classes(
        Report(
            Protocol("of a test", "a"),
            [],
            classes=names,
            per_class=per_class,
            confusion={"cnn": confusion},
        ),
        {},
    )
    assert (
        found.heat is not None
        and not found.matrix
        and len(found.names) == 30
        and found.importances is None
    )
    assert found.mistakes == [
        classes.Mistake("c5", "c2", 8, "50.0%"),
        classes.Mistake("c3", "c4", 2, "20.0%"),
    ]


def test_charts_are_the_same_text_again_whatever_matplotlib_is_set_to() -> None:
    first = charts.bars(
        "a & b", ["$x$ \u4e2d", "<y>"], [1.0, 2.0], [(0.5, 1.25), None], [charts.ACCENT, charts.INK]
    )
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        again = charts.bars(
            "a & b",
            ["$x$ \u4e2d", "<y>"],
            [1.0, 2.0],
            [(0.5, 1.25), None],
            [charts.ACCENT, charts.INK],
        )
    assert first == again and first.startswith("<svg") and "<title>a &amp; b</title>" in first
    assert (
        "$x$ \u4e2d" in first
        and "&lt;y&gt;" in first
        and "var(--accent-fill)" in first
        and charts.ACCENT not in first
    )


def test_small_shares_are_not_called_nothing() -> None:
    assert [text.percent(part, 10_000) for part in (0, 1, 10, 10_000)] == [
        "0.0%",
        "<0.1%",
        "0.1%",
        "100.0%",
    ]
    assert text.percent(0, 0) == "0.0%"


def test_white_space_becomes_a_blank_and_joined_emoji_stay() -> None:
    assert text.visible("a\tb\nc \u200b\u2028") == "a b c [U+200B][U+2028]"
    assert text.visible("\U0001f468\u200d\U0001f373 é") == "\U0001f468\u200d\U0001f373 é"
