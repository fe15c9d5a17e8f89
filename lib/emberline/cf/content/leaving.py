"""The regression once more without some of its kernels: what each column of that which is known is
worth beside all others.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.content import regression
from emberline.cf.content.features import Features
from emberline.cf.content.kernels import blocks_of, kernel, mean_of
from emberline.cf.content.model import Likeness
from emberline.cf.content.regression import Root
from emberline.cf.ridge import Moments
from emberline.cf.sums import encoded
from emberline.numeric.arrays import Float32, Float64
from emberline.numeric.shared import Shared


@dataclass(frozen=True)
class Left:
    """A name, what each kernel that is left counts, and what makes features of them."""

    name: str
    weights: Mapping[str, float]
    root: Root


@dataclass(frozen=True)
class LeftOut:
    """How like the landmarks rows are, and several ways to make features of it."""

    likeness: Likeness
    ways: Sequence[Left]

    @classmethod
    def of(cls, likeness: Likeness) -> Self:
        """Each column of a model that has several left out, with all kernels that it is in."""
        marks, known = likeness.landmarks, likeness.known
        columns = {block.name: block.modality for block in blocks_of(known)}
        kernels = _kernels(likeness, marks)
        used = dict.fromkeys(column for name in likeness.weights for column in columns[name])
        ways = []
        for column in used:
            left = {n: w for n, w in likeness.weights.items() if column not in columns[n]}
            if left:
                ways.append(Left(column, left, Root.of(mean_of(left, kernels))))
        return cls(likeness, ways)

    def features(self, rows: pa.RecordBatch) -> Iterator[Float32]:
        """(n, k) of rows of attributes, each way."""
        kernels = _kernels(self.likeness, self.likeness.features(rows))
        for way in self.ways:
            yield way.root.features(mean_of(way.weights, kernels))


def _kernels(likeness: Likeness, rows: Features) -> dict[str, Float32]:
    """(n, landmarks): by name those that count."""
    marks, known = likeness.landmarks, likeness.known
    return {name: kernel(name, rows, marks, known) for name in likeness.weights}


def sum_moments(batches: Iterator[pa.RecordBatch], left_out: Shared) -> Iterator[pa.RecordBatch]:
    """tasks.KNOWN to SUMS: a block of moments, flat, of those that have factors, for each way of a
    `LeftOut`.
    """
    found: dict[int, Float64] = {}
    for batch in batches:
        rows = batch.filter(batch["factors"].is_valid())
        if rows.num_rows:
            targets = matrix_of(rows["factors"], rows.num_rows)
            weights = regression.weights_of(rows["ratings"].to_numpy())
            for number, features in enumerate(left_out.value.features(rows)):
                flat = Moments.of(features, targets, weights).flat()
                found[number] = found[number] + flat if number in found else flat
    if found:
        yield encoded(found)


def predict(
    batches: Iterator[pa.RecordBatch],
    left_out: Shared,
    weights: Sequence[Float64],
    names: Sequence[str],
    schema: pa.Schema,
) -> Iterator[pa.RecordBatch]:
    """tasks.KNOWN to a model's name, an item and factors: of those that nobody has rated, each
    way.
    """
    for batch in batches:
        rows = batch.filter(batch["factors"].is_null())
        if rows.num_rows:
            every = left_out.value.features(rows)
            for name, own, features in zip(names, weights, every, strict=True):
                predicted = list(regression.predict(features, own))
                columns: list[Any] = [np.full(rows.num_rows, name), rows["id"], predicted]
                yield pa.record_batch(columns, schema=schema)
