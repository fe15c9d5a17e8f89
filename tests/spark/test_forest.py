"""train-forest: what it learns from embeddings, what it answers, and that its files are MLlib's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.ml.classification import RandomForestClassificationModel
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from emberline import stages
from emberline.datasets import manifest as manifests
from emberline.errors import EmptyDatasetError
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.spark import forest

Row = dict[str, Any]
Publish = Callable[..., None]

NUM_CLASSES, WIDTH, TELLING = 120, 3, 1  # more classes than MLlib infers from labels
RNG = np.random.default_rng(4)


def sections(**forest: Any) -> Row:
    return {
        "images": {"path": "unread"},
        "shards": {"task": "class"},
        "cnn": {},
        "predict": {},
        "forest": forest,
    }


def trained(root: Path, **forest: Any) -> list[Row]:
    """The answers, by item."""
    config = Config.model_validate(sections(**forest))
    runner.run(config, root, stages.select(config, "train-forest"))
    rows = [
        row
        for path in manifests.load(root, "forest_classes").paths
        for row in pq.read_table(path).to_pylist()
    ]
    return sorted(rows, key=lambda row: row["item"])


def publish_pictures(
    publish: Publish, root: Path, splits: list[str], labels: list[int | None], vectors: np.ndarray
) -> None:
    cells = zip(splits, labels, strict=True)
    rows = [
        {"item": i, "item_id": str(i), "split": s, "label": label, "pixels": b"."}
        for i, (s, label) in enumerate(cells)
    ]
    names = [f"class {number:03d}" for number in range(NUM_CLASSES)]
    publish(root, "export-shards", "shards_all", rows, classes=names)
    embeddings = [
        {"item": i, "embedding": vector}
        for i, vector in enumerate(vectors.astype(np.float32).tolist())
    ]
    publish(root, "predict-items", "embeddings", embeddings)


# Three classes that one dimension tells apart; the other dimensions are noise.
LABELS = [number % 3 * 50 for number in range(300)]
VECTORS = RNG.standard_normal((320, WIDTH))
VECTORS[:300, TELLING] = LABELS
SPLITS = [
    "test" if number % 10 == 0 else "val" if number % 10 == 1 else "train" for number in range(300)
] + ["none"] * 20
FOREST = {"num_trees": 15, "max_depth": 6, "seed": 5}


@pytest.fixture(scope="module")
def root(spark: SparkSession, publish: Publish, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("forest")
    publish_pictures(publish, root, SPLITS, [*LABELS, *[None] * 20], VECTORS)
    trained(root, **FOREST)
    return root


@pytest.fixture(scope="module")
def answers(root: Path) -> list[Row]:
    return trained(root, **FOREST)  # up to date: nothing runs


def test_embeddings_that_can_be_told_apart_are_classified_perfectly(answers: list[Row]) -> None:
    assert {row["item"]: row["predicted"] for row in answers} == {
        item: LABELS[item] for item in range(0, 300, 10)
    }
    assert all(0.5 < row["probability"] <= 1 for row in answers)
    assert all(
        row["top"][0] == row["predicted"] and len(set(row["top"])) == len(row["top"]) == 5
        for row in answers
    )


def test_the_forest_learns_from_the_same_rows_in_the_same_order_however_they_come(
    spark: SparkSession,
) -> None:
    items = [
        spark.range(0, 200, numPartitions=partitions).withColumnRenamed("id", "item")
        for partitions in (1, 7)
    ]
    one, other = (
        forest.cut_alike(frame).withColumn("partition", F.spark_partition_id()).collect()
        for frame in items
    )
    assert one == other
    assert len({row["partition"] for row in one}) > 1


def test_the_importances_point_at_the_telling_dimension(root: Path) -> None:
    dataset = manifests.load(root, "forest")
    (path,) = [path for path in dataset.paths if path.name == "importances.json"]
    facts = json.loads(path.read_text())
    assert facts == {name: dataset.manifest.info[name] for name in facts}
    assert facts["importances"][TELLING] > 0.5
    assert int(np.argmax(facts["importances"])) == TELLING
    assert sum(facts["importances"]) == pytest.approx(1)
    assert (facts["num_trees"], facts["num_features"], dataset.manifest.seed) == (15, WIDTH, 5)


def test_mllib_loads_the_published_files(root: Path, answers: list[Row]) -> None:
    folders = {
        path.parents[1]
        for path in manifests.load(root, "forest").paths
        if path.parent.name == "metadata"
    }
    (folder,) = {folder for folder in folders if folder.name == "model"}
    model = RandomForestClassificationModel.load(str(folder))
    assert (model.getNumTrees, model.numFeatures, model.numClasses) == (15, WIDTH, NUM_CLASSES)
    for row in answers[:3]:
        vector = Vectors.dense(VECTORS[row["item"]].astype(np.float32).tolist())
        assert model.predict(vector) == row["predicted"]
        assert float(model.predictProbability(vector).toArray().max()) == pytest.approx(
            row["probability"]
        )


def test_another_seed_grows_another_forest(
    root: Path, spark: SparkSession, publish: Publish, tmp_path: Path
) -> None:
    """MLlib has a seed of its own, always the same, where it is given none."""
    publish_pictures(publish, tmp_path, SPLITS, [*LABELS, *[None] * 20], VECTORS)
    trained(tmp_path, **FOREST | {"seed": 6})
    importances = [
        manifests.load(folder, "forest").manifest.info["importances"] for folder in (root, tmp_path)
    ]
    assert importances[0] != importances[1]


def test_no_test_picture_is_an_error(spark: SparkSession, publish: Publish, tmp_path: Path) -> None:
    publish_pictures(publish, tmp_path, ["train", "train"], [0, 1], VECTORS[:2])
    with pytest.raises(
        EmptyDatasetError, match=r"no picture with a label is for testing; set shards\.test"
    ):
        trained(tmp_path)
