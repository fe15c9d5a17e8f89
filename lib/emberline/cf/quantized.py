"""Rows of numbers in few bytes: int8 codes by which all are scored, and four bits more of each, by
which the best are scored once more.

A row y is about `scale (codes + (rest - 7.5) / 16)`, scale being its largest number over 127: codes
are int8, rest are 0..15. The error of a number is at most scale / 32, its thirty-second part of
what int8 alone leaves at most.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from emberline.numeric.arrays import Float32, Int64, UInt8

Int8 = npt.NDArray[np.int8]
_LARGEST, _STEPS, _MIDDLE = 127, 16, np.float32(7.5)
_CHUNK = 1 << 12  # rows that are float32 at a time: they stay in the cache


@dataclass(frozen=True)
class Quantized:
    """Of rows (n, d): `scales` (n,), `codes` (n, d), and `rest` (n, ceil(d / 2)), two to a byte,
    the first in its lower half.
    """

    scales: Float32
    codes: Int8
    rest: UInt8

    @classmethod
    def of(cls, rows: Float32) -> Self:
        """Of finite numbers (n, d)."""
        scales = np.abs(rows).max(axis=1, initial=0) / np.float32(_LARGEST)
        scales = np.maximum(scales, np.finfo(np.float32).tiny)
        exact = rows / scales[:, None]
        codes = np.clip(np.rint(exact), -_LARGEST, _LARGEST)
        rest = np.clip(np.rint((exact - codes) * _STEPS + _MIDDLE), 0, _STEPS - 1)
        return cls(scales, codes.astype(np.int8), _packed(rest.astype(np.uint8)))

    def __len__(self) -> int:
        return len(self.scales)

    def rows(self, places: Int64 | slice) -> Float32:
        """Some rows, (m, d), as exactly as they are known."""
        codes, rest = self.codes[places], _unpacked(self.rest[places], self.codes.shape[1])
        exact = codes + (rest - _MIDDLE) / np.float32(_STEPS)
        found: Float32 = (exact * self.scales[places, None]).astype(np.float32, copy=False)
        return found

    def scores(self, vector: Float32) -> Float32:
        """The products of all rows with a vector (d,), by int8 alone: (n,)."""
        found = np.empty(len(self), np.float32)
        for first in range(0, len(self), _CHUNK):
            some = slice(first, first + _CHUNK)
            np.dot(self.codes[some].astype(np.float32), vector, out=found[some])
        found *= self.scales
        return found


def _packed(rest: UInt8) -> UInt8:
    even = rest if rest.shape[1] % 2 == 0 else np.pad(rest, [(0, 0), (0, 1)])
    packed: UInt8 = np.bitwise_or(even[:, ::2], np.left_shift(even[:, 1::2], np.uint8(4)))
    return packed


def _unpacked(packed: UInt8, width: int) -> Float32:
    both = np.stack([packed & 15, packed >> 4], axis=2).reshape(len(packed), -1)
    unpacked: Float32 = both[:, :width].astype(np.float32)
    return unpacked
