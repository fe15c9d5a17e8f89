"""How well pictures are classified, by each model on the same test pictures, beside the most
frequent class.
"""

from collections.abc import Iterator
from dataclasses import asdict
from functools import reduce
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.cf.metrics import per_class, protocol
from emberline.datasets.facts import Classes
from emberline.errors import EmptyDatasetError
from emberline.models import MODELS, MOST_FREQUENT
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.spark.sketches import sketch

Row = dict[str, Any]


def report(run: StageRun[Any], tables: dict[str, DataFrame]) -> Row:
    """The protocol, rows of model and metric, each model's classes and confusion matrix
    (true class, predicted class).
    """
    names = run.inputs["shards_all"].manifest.facts(Classes).classes
    truth = (
        tables["shards_all"]
        .select("item", "item_id", "split", "label")
        .where("label is not null")
        .persist()
    )
    predicted = [
        tables[table].withColumn("model", F.lit(model.name))
        for model in MODELS.values()
        for table in model.classes
        if table in tables
    ]
    counts = _counts(
        truth.where("split = 'test'"), reduce(DataFrame.unionByName, predicted), len(names)
    )
    if not counts:
        raise EmptyDatasetError(
            "no picture with a label is for testing; set shards.test, such as 0.2"
        )
    counts[MOST_FREQUENT.name] = _always(_most_frequent(truth), next(iter(counts.values()))[0])
    metrics = [
        row for model, (confusion, top) in counts.items() for row in _metrics(model, confusion, top)
    ]
    by_class = [
        row for model, (confusion, _) in counts.items() for row in _classes(model, confusion, names)
    ]
    confusions = {model: confusion.astype(int).tolist() for model, (confusion, _) in counts.items()}
    return {
        "protocol": _protocol(run, names),
        "data": asdict(sketch(truth, ("item_id",), "label", "split")),
        "metrics": metrics,
        "classes": names,
        "per_class": by_class,
        "confusion": confusions,
    }


def _most_frequent(truth: DataFrame) -> int:
    """The class of most pictures in training; of equally many the first."""
    counts = truth.where("split = 'train'").groupBy("label").count()
    first = counts.orderBy(F.desc("count"), "label").first()
    return first[0] if first else 0


def _protocol(run: StageRun[Any], names: list[str]) -> Row:
    shards = run.inputs["shards_all"].manifest
    facts = {
        "pictures": "those of the split test",
        "split": shards.produced_by.config,
        "classes": len(names),
    }
    return protocol(f"test pictures of {len(names)} classes", facts)


def _counts(
    truth: DataFrame, predicted: DataFrame, size: int
) -> dict[str, tuple[Float64, int | None]]:
    """Each model's confusion matrix, and how often the true class is among its five best."""
    joined = truth.join(predicted, "item")
    is_top = F.array_contains("top", F.col("label")).cast("int")
    found = (
        joined.groupBy("model", "label", "predicted")
        .agg(F.count("*").alias("count"), F.sum(is_top).alias("top"))
        .collect()
    )
    counts: dict[str, tuple[Float64, int | None]] = {}
    for row in sorted(found, key=lambda row: row["model"]):
        confusion, top = counts.get(row["model"], (np.zeros((size, size)), 0))
        confusion[row["label"], row["predicted"]] += row["count"]
        counts[row["model"]] = confusion, (top or 0) + row["top"]
    return counts


def _always(label: int, confusion: Float64) -> tuple[Float64, None]:
    """The confusion matrix of predicting one class, of the same pictures."""
    constant = np.zeros_like(confusion)
    constant[:, label] = confusion.sum(axis=1)
    return constant, None


def _metrics(model: str, confusion: Float64, top: int | None) -> Iterator[Row]:
    """Shares of all test pictures, and means over the classes that test pictures have."""
    pictures = int(confusion.sum())
    shares = {"accuracy": np.trace(confusion) / pictures} | (
        {} if top is None else {"top-5 accuracy": top / pictures}
    )
    for name, share in shares.items():
        error = float(np.sqrt(share * (1 - share) / pictures))
        yield {
            "model": model,
            "metric": name,
            "value": float(share),
            "standard_error": error,
            "pictures": pictures,
        }
    tested = confusion.sum(axis=1) > 0
    for name, value in zip(
        ("precision", "recall", "F1"), per_class(confusion)[tested].mean(axis=0), strict=True
    ):
        yield {
            "model": model,
            "metric": f"mean {name}",
            "value": float(value),
            "standard_error": None,
            "pictures": pictures,
        }


def _classes(model: str, confusion: Float64, names: list[str]) -> Iterator[Row]:
    for name, (precision, recall, f1), pictures in zip(
        names, per_class(confusion), confusion.sum(axis=1), strict=True
    ):
        measured = {"precision": float(precision), "recall": float(recall), "F1": float(f1)}
        yield {"model": model, "class": name, **measured, "pictures": int(pictures)}
