"""How well pictures are classified, by each model on the same test pictures, beside the most
frequent class.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from emberline.cf.confusion import (
    LABELLED,
    METRICS,
    Counts,
    correct,
    correct_if,
    count,
    count_trained,
    predicted_labels,
    true_labels,
)
from emberline.cf.measures import Named
from emberline.cf.metrics import per_class, protocol
from emberline.cf.sums import SUMS, decoded
from emberline.datasets.facts import Classes, Spectrograms
from emberline.datasets.sketch import Sketch
from emberline.datasets.sketching import BINNED, binned, sketch_of
from emberline.errors import EmptyDatasetError
from emberline.evaluation.found import ITEMS, Found
from emberline.flow.rows import Flow, Rows, Source
from emberline.flow.sums import summed
from emberline.models import MODELS, MOST_FREQUENT
from emberline.numeric.arrays import Float64
from emberline.runs.stage_run import StageRun
from emberline.sections.shards import protocol_of

REPORT = "classes"
Row = dict[str, Any]


def report(run: StageRun[Any], flow: Flow, tables: Mapping[str, Source]) -> tuple[Row, Found]:
    """The protocol, each model's classes and confusion matrix (true class, predicted class), and
    whether each test picture's class is right.
    """
    shards = tables["shards_all"]
    names = run.inputs["shards_all"].manifest.facts(Classes).classes
    labelled = _labelled(tables)
    models = tuple(name for name, _ in _given(tables))
    together = labelled.together(flow.parts).kept()
    counts = _counts(together, models, len(names))
    if not counts:
        raise EmptyDatasetError(
            "no picture with a label is for testing; set shards.test, such as 0.2"
        )
    # of equally frequent classes the first
    always = int(np.argmax(_trained(shards, len(names))))
    counts[MOST_FREQUENT.name] = _always(always, next(iter(counts.values())).confusion)
    named = Named(REPORT, models, METRICS)
    own = together.map(partial(correct, named=named), ITEMS)
    trivial = Named(REPORT, (MOST_FREQUENT.name,), METRICS[:1])
    constant = together.map(partial(correct_if, named=trivial, label=always), ITEMS)
    said = {"protocol": _protocol(run, names), "data": asdict(_sketch(shards))}
    measured = Named(REPORT, tuple(sorted(models)), METRICS)
    return said | _by_class(counts, names), Found(
        told=[measured, trivial],
        over="pictures",
        items=own.union(constant),
        of_items=[named, trivial],
        fixed=[row for model, found in counts.items() for row in _means(model, found)],
        blocks=[together],
    )


def _by_class(counts: Mapping[str, Counts], names: list[str]) -> Row:
    """How well each model knows each class, and what it takes it for."""
    rows = [row for model, found in counts.items() for row in _classes(model, found, names)]
    matrices = {model: found.confusion.astype(int).tolist() for model, found in counts.items()}
    return {"classes": names, "per_class": rows, "confusion": matrices}


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
    what = "sounds" if shards.given(Spectrograms) else "pictures"
    return protocol(f"test {what} of {len(names)} classes", facts)


def _given(tables: Mapping[str, Source]) -> list[tuple[str, Source]]:
    """Each model that predicts classes, and its table."""
    return [
        (model.name, tables[name])
        for model in MODELS.values()
        for name in model.classes
        if name in tables
    ]


def _labelled(tables: Mapping[str, Source]) -> Rows:
    """LABELLED: the truth, and what each model says, by its place in `_given`."""
    rows = tables["shards_all"].map(("item", "split", "label"), true_labels, LABELLED)
    for number, (_, table) in enumerate(_given(tables)):
        task = partial(predicted_labels, model=number)
        columns = ("item", "predicted", "top", "probability")
        rows = rows.union(table.map(columns, task, LABELLED))
    return rows


def _counts(labelled: Rows, models: tuple[str, ...], classes: int) -> dict[str, Counts]:
    """Of each model what it takes pictures for, in the order of names."""
    found = summed(labelled, partial(count, classes=classes))
    counts = {models[number]: Counts.of(vector, classes) for number, vector in found.items()}
    return dict(sorted(counts.items()))


def _always(label: int, confusion: Float64) -> Counts:
    """Of predicting one class, for the same pictures."""
    constant = np.zeros_like(confusion)
    constant[:, label] = confusion.sum(axis=1)
    return Counts(constant, None, None)


def _means(model: str, counts: Counts) -> Iterator[Row]:
    """Means over the classes that test pictures have, and how far a model's probabilities are from
    what comes true.
    """
    tested = counts.confusion.sum(axis=1) > 0
    means = per_class(counts.confusion)[tested].mean(axis=0)
    found = {
        f"mean {name}": value
        for name, value in zip(("precision", "recall", "F1"), means, strict=True)
    } | {"calibration error": counts.calibration_error()}
    pictures = int(counts.confusion.sum())
    for name, value in found.items():
        if value is not None:
            yield {"model": model, "metric": name, "value": float(value), "pictures": pictures}


def _classes(model: str, counts: Counts, names: list[str]) -> Iterator[Row]:
    confusion = counts.confusion
    for name, (precision, recall, f1), pictures in zip(
        names, per_class(confusion), confusion.sum(axis=1), strict=True
    ):
        measured = {"precision": float(precision), "recall": float(recall), "F1": float(f1)}
        yield {"model": model, "class": name, **measured, "pictures": int(pictures)}
