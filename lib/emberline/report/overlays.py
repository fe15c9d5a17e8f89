"""Which pixels a network goes by, as small pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from emberline.datasets.facts import Classes, Pictures
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import whole
from emberline.images.overlay import overlaid
from emberline.numeric.arrays import UInt8
from emberline.report.pictures import drawn

Row = dict[str, Any]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Looked:
    """A test picture, its pixels by what they say for the class that the network takes it for, as
    `data:` URIs, and what it is.
    """

    picture: str
    overlay: str
    said: str
    is_right: bool


def of_people(inputs: Mapping[str, Dataset]) -> dict[tuple[int, int], str]:
    """By user and item the pixels that speak for the score, as a `data:` URI."""
    rows, shape = _rows(inputs, "picture_reasons", "user")
    return {(row["user"], row["item"]): _overlay(row, shape) for row in rows}


def of_classes(inputs: Mapping[str, Dataset]) -> list[Looked]:
    """Test pictures, those first of which the network is right."""
    rows, shape = _rows(inputs, "class_reasons", "label", "predicted")
    names = inputs["class_reasons"].manifest.facts(Classes).classes if rows else []
    return [_looked(row, shape, names) for row in rows]


def _rows(inputs: Mapping[str, Dataset], name: str, *columns: str) -> tuple[list[Row], Shape]:
    """Rows of a table, where it is there, and the size of its pictures."""
    if name not in inputs:
        return [], (0, 0, 0)
    found = whole(inputs[name], ["item", "pixels", "heat", *columns]).to_pylist()
    return found, inputs[name].manifest.facts(Pictures).shape


def _looked(row: Row, shape: Shape, names: list[str]) -> Looked:
    label, predicted = names[row["label"]], names[row["predicted"]]
    is_right = label == predicted
    said = label if is_right else f"{label}, taken for {predicted}"
    return Looked(drawn(_pixels(row, shape)), _overlay(row, shape), said, is_right)


def _overlay(row: Row, shape: Shape) -> str:
    heat = np.array(row["heat"], np.float32).reshape(shape[:2])
    return drawn(overlaid(_pixels(row, shape), heat))


def _pixels(row: Row, shape: Shape) -> UInt8:
    return np.frombuffer(row["pixels"], np.uint8).reshape(shape)
