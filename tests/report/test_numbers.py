"""The numbers that the report computes itself, compared with ones found by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from emberline.datasets import manifest as manifests
from emberline.report import charts, classes, measures, people, ratings, text


def test_values_are_told_apart_to_two_digits() -> None:
    exact = np.array([0.5, 4.5, 0.0, -1.25, 99.0, 1234.0, 12_999_999.0], np.float32)
    assert ratings._rounded(exact).tolist() == [0.5, 4.5, 0.0, -1.2, 99.0, 1200.0, 13_000_000.0]


def test_few_values_have_a_column_each() -> None:
    assert ratings._binned(ratings.Counter({5.0: 3, 0.5: 1})) == (["0.5", "5"], [1, 3])


def test_many_whole_values_have_columns_that_begin_at_whole_values() -> None:
    labels, counts = ratings._binned(ratings.Counter({float(value): value for value in range(1, 49)}))
    assert (labels[:3], labels[-1], counts[:2], counts[-1]) == (["1", "3", "5"], "46", [1 + 2, 3 + 4], 46 + 47 + 48)
    assert sum(counts) == 48 * 49 // 2


def test_a_tenth_of_the_items_and_those_without_ratings_are_counted() -> None:
    by_item = np.array([60.0, 0, 5, 5, 5, 5, 5, 5, 5, 5, 0])  # nine rated items; a tenth of them is one
    assert ratings._sentence(by_item, 13) == (
        "The 1 most rated of 9 items (a tenth) have 60.0% of all ratings; "
        "4 of 13 items have none, because they are new or withheld."
    )


def test_users_are_drawn_among_those_with_a_list_and_by_the_seed(root: Path, write_ratings: Callable[..., None]) -> None:
    write_ratings(root)
    published = manifests.load(root, "recommendations")
    assert people.draw(published, 5, seed=1) == [0, 1]
    assert {people.draw(published, 1, seed)[0] for seed in range(8)} == {0, 1}


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
    rows = [{"item": item, "value": 9.0 - item, "timestamp": datetime(2024, 1, item, tzinfo=UTC)} for item in (1, 3, 2)]
    rows.append({"item": 4, "value": 99.0, "timestamp": None})
    assert [row["item"] for row in sorted(rows, key=people._implicit_order)] == [3, 2, 1, 4]


def test_the_best_is_the_lowest_error_and_the_oracle_does_not_compete() -> None:
    rows: list[dict[str, Any]] = [
        {"subject": "oracle", "metric": "rmse", "value": 0.1, "standard_error": None, "ratings": 9},
        {"subject": "item-mean", "metric": "rmse", "value": 0.9, "standard_error": None, "ratings": 9},
        {"subject": "als", "metric": "rmse", "value": 0.8, "standard_error": None, "ratings": 9, "answered_by_biases": 2},
    ]
    (line,) = measures._lines(rows, ["oracle", "item-mean", "als"])
    assert [cell and cell.is_best for cell in line.cells] == [False, False, True]
    assert line.over == "9 ratings"
    assert measures._gain("holdout", rows) == measures.Gain("Held-out ratings", "rmse", "als", "0.800", "item-mean", "0.900")


def test_each_model_says_its_own_number_of_ratings_without_an_answer() -> None:
    shared = {"metric": "rmse", "value": 0.8, "standard_error": 0.1, "ratings": 9000}
    rows = [shared | {"subject": "als", "answered_by_biases": 829}, shared | {"subject": "biases"}]
    rows.append(shared | {"subject": "item-neighbors", "answered_by_biases": 3916})
    (line,) = measures._lines(rows, ["als", "item-neighbors", "biases"])
    notes = [cell and cell.note for cell in line.cells]
    assert notes == ["829 answered by the biases", "3,916 answered by the biases", ""]
    assert line.over == "9,000 ratings"


def test_a_model_that_loses_says_so() -> None:
    rows = [
        {"subject": name, "metric": "ndcg@5", "value": value, "users": 3}
        for name, value in (("als", 0.1), ("random", 0.05), ("most-popular", 0.2))
    ]
    assert measures._gain("holdout", rows) == measures.Gain("Held-out ratings", "ndcg@5", "als", "0.100", "most-popular", "0.200")


@pytest.mark.parametrize(
    ("holdout", "words"),
    [
        ({"by": "last", "n": 2, "cold_items": 0.0, "seed": 1}, "the last 2 ratings of each user (seed 1)"),
        ({"by": "time", "after": "2011-11-01 00:00:00", "seed": 1}, "ratings after 2011-11-01 00:00:00 (seed 1)"),
        ({"by": "time", "after": None, "last_days": 7.0, "seed": 1}, "ratings of the last 7 days (seed 1)"),
    ],
)
def test_a_holdout_is_told_in_words(holdout: dict[str, Any], words: str) -> None:
    assert measures.plain(holdout) == words


def test_many_classes_are_a_picture_and_their_mistakes_are_named() -> None:
    confusion = (np.eye(30, dtype=int) * 8).tolist()
    confusion[3][4], confusion[5][2] = 2, 8
    per_class = [{"subject": "cnn", "class": "c0", "precision": 1.0, "recall": 1.0, "F1": 1.0, "pictures": 8}]
    names = [f"c{place}" for place in range(40)]
    found = classes.classes({"confusion": {"cnn": confusion}, "classes": names, "per_class": per_class}, {})
    assert found.heat is not None and not found.matrix and len(found.names) == 30 and found.importances is None
    assert found.mistakes == [classes.Mistake("c5", "c2", 8, "50.0%"), classes.Mistake("c3", "c4", 2, "20.0%")]


def test_charts_are_the_same_text_again_whatever_matplotlib_is_set_to() -> None:
    first = charts.bars("a & b", ["$x$ \u4e2d", "<y>"], [1.0, 2.0], [0.5, None], [charts.ACCENT, charts.INK])
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):
        again = charts.bars("a & b", ["$x$ \u4e2d", "<y>"], [1.0, 2.0], [0.5, None], [charts.ACCENT, charts.INK])
    assert first == again and first.startswith("<svg") and "<title>a &amp; b</title>" in first
    assert "$x$ \u4e2d" in first and "&lt;y&gt;" in first and "var(--accent-fill)" in first and charts.ACCENT not in first


def test_small_shares_are_not_called_nothing() -> None:
    assert [text.percent(part, 10_000) for part in (0, 1, 10, 10_000)] == ["0.0%", "<0.1%", "0.1%", "100.0%"]
    assert text.percent(0, 0) == "0.0%"


def test_white_space_becomes_a_blank_and_joined_emoji_stay() -> None:
    assert text.visible("a\tb\nc \u200b\u2028") == "a b c [U+200B][U+2028]"
    assert text.visible("\U0001f468\u200d\U0001f373 é") == "\U0001f468\u200d\U0001f373 é"
