"""What predicts factors of that which is said: how like some landmarks a row is, and what likeness
to each of them adds.

    f(x) = mean + sum over blocks b  w_b  sum over landmarks l  K_b(x, l) c_l
         + weight (what a network predicts from x's picture - its mean)

The weights w add up to 1; the last line is there where pictures have proved themselves
(`fusion.py`). A score u.f(x) is therefore a sum over blocks, and pictures, beside the part of the
mean, which is the same for all rows.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from emberline.cf.content import regression
from emberline.cf.content.features import Features, Statistics, features_of
from emberline.cf.content.kernels import kernel, mean_kernel
from emberline.cf.content.regression import Root
from emberline.numeric.arrays import Float32, Float64


@dataclass(frozen=True)
class Likeness:
    """How like the landmarks (m) rows are: how features are made of what is said; the landmarks'
    own; and what each kernel counts.
    """

    known: Statistics
    landmarks: Features
    weights: Mapping[str, float]

    def features(self, rows: pa.RecordBatch) -> Features:
        """What rows of attributes are compared by."""
        return features_of(rows, self.known)

    def whole(self, rows: pa.RecordBatch) -> Float32:
        """(n, m): the weighted mean of the kernels."""
        return mean_kernel(self.weights, self.features(rows), self.landmarks, self.known)

    def by_block(self, rows: Features) -> Iterator[tuple[str, Float64]]:
        """Each kernel's name and its part (n, m) of the mean."""
        total = sum(self.weights.values())
        for block, weight in self.weights.items():
            whole = kernel(block, rows, self.landmarks, self.known).astype(np.float64)
            yield block, whole * (weight / total)


@dataclass(frozen=True)
class Nystrom:
    """What a regression is fitted on: likeness, and what makes features of it."""

    likeness: Likeness
    root: Root

    @classmethod
    def of(cls, likeness: Likeness) -> Self:
        marks = likeness.landmarks
        return cls(likeness, Root.of(mean_kernel(likeness.weights, marks, marks, likeness.known)))

    def features(self, rows: pa.RecordBatch) -> Float32:
        """(n, k) of rows of attributes."""
        return self.root.features(self.likeness.whole(rows))

    def fitted(self, weights: Float64) -> "Model":
        """weights: (k + 1, rank), as `regression.solve` finds them."""
        found = (self.root.matrix @ weights[:-1]).astype(np.float32)
        return Model(self.likeness, found, weights[-1].astype(np.float32))


@dataclass(frozen=True)
class Pictures:
    """What the factors that a network predicts count, beside their mean (rank,)."""

    weight: float
    mean: Float32

    def added(self, predicted: Float32) -> Float32:
        """To the factors of items, of what a network predicts for them (n, rank)."""
        found: Float32 = (self.weight * (predicted - self.mean)).astype(np.float32)
        return found


@dataclass(frozen=True)
class Model:
    """Likeness, what each landmark adds (m, rank), the mean (rank,), and perhaps pictures."""

    likeness: Likeness
    coefficients: Float32
    mean: Float32
    pictures: Pictures | None = None

    def times(self, slope: float) -> Self:
        """The same with all that is added to the mean, so many times."""
        by = self.pictures
        pictures = None if by is None else replace(by, weight=slope * by.weight)
        coefficients = (slope * self.coefficients).astype(np.float32)
        return replace(self, coefficients=coefficients, pictures=pictures)

    def predict(self, rows: pa.RecordBatch) -> Float32:
        """Factors (n, rank) of rows of attributes, without what pictures add."""
        return regression.by_likeness(self.likeness.whole(rows), self.coefficients, self.mean)
