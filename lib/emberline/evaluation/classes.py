"""How well pictures are classified, by each model on the same test pictures, beside the most
frequent class.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from emberline.cf.confusion import LABELLED, count, count_trained, predicted_labels, true_labels
from emberline.cf.metrics import per_class, protocol
from emberline.cf.sums import SUMS, decoded
from emberline.datasets.facts import Classes
from emberline.datasets.sketch import Sketch
from emberline.datasets.sketching import BINNED, binned, sketch_of
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow, Source
from emberline.flow.sums import summed
from emberline.models import MODELS, MOST_FREQUENT
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.sections.shards import protocol_of

Row = dict[str, Any]
Counts = dict[str, tuple[Float64, int | None]]


def report(run: StageRun[Any], flow: Flow, tables: Mapping[str, Source]) -> Row:
    """The protocol, rows of model and metric, each model's classes and confusion matrix
    (true class, predicted class).
    """
    shards = tables["shards_all"]
    names = run.inputs["shards_all"].manifest.facts(Classes).classes
    counts: Counts = dict(sorted(_counts(flow, tables, len(names)).items()))
    if not counts:
        raise EmptyDatasetError(
            "no picture with a label is for testing; set shards.test, such as 0.2"
        )
    trained = _trained(shards, len(names))
    # of equally frequent classes the first
    counts[MOST_FREQUENT.name] = _always(int(np.argmax(trained)), next(iter(counts.values()))[0])
    metrics = [
        row for model, (confusion, top) in counts.items() for row in _metrics(model, confusion, top)
    ]
    by_class = [
        row for model, (confusion, _) in counts.items() for row in _classes(model, confusion, names)
    ]
    confusions = {model: confusion.astype(int).tolist() for model, (confusion, _) in counts.items()}
    return {
        "protocol": _protocol(run, names),
        "data": asdict(_sketch(shards)),
        "metrics": metrics,
        "classes": names,
        "per_class": by_class,
        "confusion": confusions,
    }


def _trained(shards: Source, classes: int) -> Float64:
    """How many pictures of each class are for training: (classes,)."""
    found = shards.map(("split", "label"), partial(count_trained, classes=classes), SUMS)
    return decoded(found.table().to_pylist())[0]


def _sketch(shards: Source) -> Sketch:
    """Of the pictures with a label."""
    columns = ("item_id", "label", "split")
    return sketch_of(shards.map(columns, partial(binned, keys=1, needed=1), BINNED).table())


def _protocol(run: StageRun[Any], names: list[str]) -> Row:
    shards = run.inputs["shards_all"].manifest
    facts = {
        "pictures": "those of the split test",
        "split": protocol_of(shards.produced_by.config),
        "classes": len(names),
    }
    return protocol(f"test pictures of {len(names)} classes", facts)


def _counts(flow: Flow, tables: Mapping[str, Source], classes: int) -> Counts:
    """Each model's confusion matrix, and how often the true class is among its five best."""
    given = [
        (model.name, tables[name])
        for model in MODELS.values()
        for name in model.classes
        if name in tables
    ]
    columns = ("item", "split", "label")
    rows = tables["shards_all"].map(columns, true_labels, LABELLED)
    for number, (_, table) in enumerate(given):
        task = partial(predicted_labels, model=number)
        rows = rows.union(table.map(("item", "predicted", "top"), task, LABELLED))
    found = summed(rows.together(flow.parts), partial(count, classes=classes))
    return {
        given[number][0]: (vector[:-1].reshape(classes, classes), int(vector[-1]))
        for number, vector in found.items()
    }


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
