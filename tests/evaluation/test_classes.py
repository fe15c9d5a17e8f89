"""How well classes are predicted, on tables written by hand and beside plain Python."""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.errors import EmptyDatasetError
from emberline.runs import runner
from emberline.sections.config import Config

Row = dict[str, Any]
Publish = Callable[..., None]

NAMES = ["bag", "boot", "coat", "dress", "hat", "shirt", "tie"]
SECTIONS: Row = {
    "images": {"path": "unread"},
    "shards": {"task": "class", "test": 0.2},
    "cnn": {},
    "predict": {},
    "forest": {},
    "evaluate": {},
}
HAT, TIE = 4, 6


def publish_all(
    publish: Publish, root: Path, truth: list[Row], **predicted: dict[int, list[int]]
) -> None:
    """predicted: by table, each item's classes, the most probable first."""
    publish(root, "export-shards", "shards_all", truth, classes=NAMES)
    for name, tops in predicted.items():
        rows = [
            {"item": i, "predicted": top[0], "probability": 0.5, "top": top}
            for i, top in tops.items()
        ]
        publish(
            root, "predict-items" if name == "predicted_classes" else "train-forest", name, rows
        )


def evaluated(root: Path, sections: Row) -> Row:
    config = Config.model_validate(sections)
    runner.run(config, root, stages.select(config, "evaluate"))
    reports = json.loads(manifests.load(root, "metrics").paths[0].read_text())["reports"]
    assert list(reports) == ["classes"]
    found: Row = reports["classes"]
    return found


def picture(item: int, split: str, label: int | None) -> Row:
    return {"item": item, "item_id": str(item), "split": split, "label": label, "pixels": b"."}


_RNG = np.random.default_rng(2)
# Of the test pictures none is a hat, but one is taken for one; and hats are the most frequent in
# training. Nobody mentions ties.
TRUTH = {item: int(_RNG.choice([0, 1, 1, 2, 3, 5])) for item in range(100, 160)}
TOPS = {item: _RNG.permutation(6)[:5].tolist() for item in [*range(100), *TRUTH]}
TOPS |= {
    item: [label, *(other for other in range(6) if other != label)][:5]
    for item, label in TRUTH.items()
    if item % 3
}
TOPS[100] = [HAT, 0, 1, 2, 3]
FOREST = {item: [label] for item, label in TRUTH.items()}
OTHERS = [picture(item, "train", HAT if item < 40 else item % 7) for item in range(80)]
OTHERS += [picture(item, "val", 1) for item in range(80, 90)] + [
    picture(item, "none", None) for item in range(90, 100)
]


@pytest.fixture(scope="module")
def report(spark: SparkSession, publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Row:
    root = tmp_path_factory.mktemp("classes")
    tested = [picture(item, "test", label) for item, label in TRUTH.items()]
    publish_all(publish, root, [*OTHERS, *tested], predicted_classes=TOPS, forest_classes=FOREST)
    return evaluated(root, SECTIONS)


def value(report: Row, model: str, metric: str) -> Row:
    (row,) = [row for row in report["metrics"] if (row["model"], row["metric"]) == (model, metric)]
    found: Row = row
    return found


def test_accuracy_is_the_share_of_test_pictures_whose_class_is_right(report: Row) -> None:
    rights = {"accuracy": 1, "top-5 accuracy": 5}
    for metric, k in rights.items():
        share = sum(label in TOPS[item][:k] for item, label in TRUTH.items()) / len(TRUTH)
        row = value(report, "cnn", metric)
        assert 0 < share < 1
        assert (row["value"], row["pictures"]) == (pytest.approx(share), len(TRUTH))
        # the deviation of a sample, whose mean is known only from itself
        error = math.sqrt(share * (1 - share) / (len(TRUTH) - 1))
        assert row["standard_error"] == pytest.approx(error)


def test_the_confusion_matrix_counts_true_and_predicted_classes(report: Row) -> None:
    counts = Counter((label, TOPS[item][0]) for item, label in TRUTH.items())
    assert report["classes"] == NAMES
    assert report["confusion"]["cnn"] == [
        [counts[true, predicted] for predicted in range(7)] for true in range(7)
    ]
    assert report["confusion"]["forest"] == [
        [(true == predicted) * list(TRUTH.values()).count(true) for predicted in range(7)]
        for true in range(7)
    ]


def test_each_class_has_its_precision_recall_and_f1(report: Row) -> None:
    rows = {row["class"]: row for row in report["per_class"] if row["model"] == "cnn"}
    assert list(rows) == NAMES
    for number, name in enumerate(NAMES):
        own = {item for item, label in TRUTH.items() if label == number}
        taken = {item for item in TRUTH if TOPS[item][0] == number}
        precision, recall = (len(own & taken) / (len(some) or 1) for some in (taken, own))
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        found = [rows[name][measure] for measure in ("precision", "recall", "F1", "pictures")]
        assert found == pytest.approx([precision, recall, f1, len(own)])


def test_means_are_over_the_classes_that_are_tested_on(report: Row) -> None:
    for metric in ("precision", "recall", "F1"):
        tested = [
            row[metric] for row in report["per_class"] if row["model"] == "cnn" and row["pictures"]
        ]
        assert len(tested) == 5
        assert value(report, "cnn", f"mean {metric}")["value"] == pytest.approx(sum(tested) / 5)
        assert value(report, "forest", f"mean {metric}")["value"] == 1


def test_forest_and_the_most_frequent_class_are_measured_on_the_same_pictures(report: Row) -> None:
    assert list(dict.fromkeys(row["model"] for row in report["metrics"])) == [
        "cnn",
        "forest",
        "most-frequent",
    ]
    assert {row["pictures"] for row in report["metrics"]} == {len(TRUTH)}
    assert value(report, "forest", "accuracy")["value"] == 1


def test_the_most_frequent_class_is_that_in_training_also_where_no_test_picture_has_it(
    report: Row,
) -> None:
    """Hats in training, ties nowhere; the matrix has all of its pictures in one column."""
    assert value(report, "most-frequent", "accuracy")["value"] == 0
    assert [sum(column) for column in zip(*report["confusion"]["most-frequent"], strict=True)] == [
        0,
        0,
        0,
        0,
        len(TRUTH),
        0,
        0,
    ]
    assert not [
        row
        for row in report["metrics"]
        if row["model"] == "most-frequent" and row["metric"].startswith("top")
    ]


def test_a_class_after_all_that_are_tested_on_can_be_the_most_frequent(
    spark: SparkSession, publish: Publish, root: Path
) -> None:
    """And of equally frequent ones the first is taken."""
    trained = [picture(item, "train", TIE) for item in range(3)]
    publish_all(
        publish,
        root,
        [*trained, picture(3, "test", 1), picture(4, "test", 0)],
        predicted_classes={3: [1], 4: [1]},
    )
    report = evaluated(
        root, {name: section for name, section in SECTIONS.items() if name != "forest"}
    )
    assert value(report, "most-frequent", "accuracy")["value"] == 0
    assert value(report, "cnn", "accuracy")["value"] == 0.5
    assert report["protocol"]["name"] == "test pictures of 7 classes"


def test_no_test_picture_is_an_error(spark: SparkSession, publish: Publish, root: Path) -> None:
    publish_all(publish, root, OTHERS, predicted_classes=TOPS, forest_classes={})
    with pytest.raises(
        EmptyDatasetError, match=r"no picture with a label is for testing; set shards\.test"
    ):
        evaluated(root, SECTIONS)
