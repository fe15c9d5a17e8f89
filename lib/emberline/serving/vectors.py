"""Factors of many items in memory, to be scored together: as they are, or in few bytes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from emberline.numeric.arrays import Float32, Int64

_CHUNK = 1 << 14


class Vectors(Protocol):
    """Rows (n, d); `cf.quantized.Quantized` are such, too."""

    def __len__(self) -> int: ...

    def rows(self, places: Int64 | slice) -> Float32:
        """Some of them: (m, d)."""

    def scores(self, vector: Float32) -> Float32:
        """The products of all of them with a vector (d,), or what is near them: (n,)."""


@dataclass(frozen=True)
class Exact:
    """The rows as they are."""

    factors: Float32

    def __len__(self) -> int:
        return len(self.factors)

    def rows(self, places: Int64 | slice) -> Float32:
        return self.factors[places]

    def scores(self, vector: Float32) -> Float32:
        found: Float32 = self.factors @ vector
        return found


def chunks(vectors: Vectors) -> Iterator[Float32]:
    """All rows, some thousands at a time; none of them once, where there are none."""
    for first in range(0, max(1, len(vectors)), _CHUNK):
        yield vectors.rows(slice(first, first + _CHUNK))


def lengths(vectors: Vectors, width: int) -> Float32:
    """Of the first numbers of each row, as many as the width says; never 0: (n,)."""
    found = [np.linalg.norm(some[:, :width], axis=1) for some in chunks(vectors)]
    least = np.finfo(np.float32).tiny
    safe: Float32 = np.maximum(np.concatenate(found), least).astype(np.float32)
    return safe
