"""Weighted means whose units (users, or items) are drawn again and again, as sums that can be
merged: per block on executors, over blocks on the driver.

A metric is theta = sum_u w_u x_u / sum_u w_u over units u. Replicate r counts unit u P_ru times,
where P_ru is drawn from Poisson(1) (Hanley and MacGibbon 2006; Chamandy et al. 2012), and flips the
sign of what u adds where S_ru is -1, which it is as often as 1 (a randomisation test, Fisher 1935).
Both depend on nothing but hash(seed, r, u): all models and all runs that know the same units are
drawn alike, so that the replicates of two of them are paired, and no number of partitions matters.
"""

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.numeric import hashing
from emberline.numeric.arrays import Float64, UInt8, UInt64

_UNITS_PER_TILE = 512  # whose draws fit a core's cache
_LEVELS = 1 << 16  # a draw has so many equally likely outcomes
_PER_HASH = 4  # draws of 16 bits
_FLIPS = np.uint64(1 << 32)  # the place in a unit's stream of numbers where those of signs begin
_MOMENTS = 6
_MOST = 16  # of which a unit is never counted so often: that is a chance of 2e-14


def _counts() -> UInt8:
    """Poisson(1) by the inverse of its distribution function at so many places between 0 and 1:
    its mean is 1, and its variance .99997.
    """
    middles = (np.arange(_LEVELS) + 0.5) / _LEVELS
    shares = [math.exp(-1) / math.factorial(count) for count in range(_MOST)]
    return np.searchsorted(np.cumsum(shares), middles).astype(np.uint8)


_COUNTS = _counts()


def draws(keys: UInt64, replicates: int) -> Float64:
    """How often each unit, by its 64 bits (n,), is counted in each replicate:
    (n, replicates).
    """
    numbers = np.arange(1, -(-replicates // _PER_HASH) + 1, dtype=np.uint64)
    bits = hashing.finish(keys[:, None] + numbers * hashing.STEP)
    places = bits.astype("<u8", copy=False).view("<u2")[:, :replicates]
    return _COUNTS.take(places).astype(np.float64)


def signs(keys: UInt64, replicates: int) -> Float64:
    """1 or -1 for each unit, by its 64 bits (n,), in each replicate: (n, replicates)."""
    numbers = np.arange(1, -(-replicates // 64) + 1, dtype=np.uint64) + _FLIPS
    bits = hashing.finish(keys[:, None] + numbers * hashing.STEP)
    ones = np.unpackbits(bits.astype("<u8", copy=False).view(np.uint8), axis=1)[:, :replicates]
    return ones.astype(np.float64) * 2 - 1


@dataclass(frozen=True)
class Resampled:
    """Sums over units of m weighted means.

    `moments` (m, 6): the number of units, and the sums of w, w x, w^2, w^2 x and w^2 x^2. Of each
    replicate, `totals` (m, R): the sums of P w x; `weights` (m, R): of P w; `flips` (m, R): of
    S w x.
    """

    moments: Float64
    totals: Float64
    weights: Float64
    flips: Float64

    @classmethod
    def empty(cls, means: int, replicates: int) -> Self:
        none = (np.zeros((means, replicates)) for _ in range(3))
        return cls(np.zeros((means, _MOMENTS)), *none)

    @classmethod
    def of(cls, keys: UInt64, values: Float64, weights: Float64, replicates: int) -> Self:
        """Of units by their 64 bits (n,), values (n, m), and weights (n, m), which are 0 where
        there is no value.
        """
        found = cls.empty(values.shape[1], replicates)
        for first in range(0, len(keys), _UNITS_PER_TILE):
            some = slice(first, first + _UNITS_PER_TILE)
            found._add(keys[some], values[some], weights[some], replicates)
        return found

    def _add(self, keys: UInt64, values: Float64, weights: Float64, replicates: int) -> None:
        added = weights * values
        terms = (weights > 0, weights, added, weights**2, weights * added, added**2)
        self.moments[:] += np.stack([term.sum(axis=0) for term in terms], axis=1)
        counts = draws(keys, replicates)
        self.totals[:] += added.T @ counts
        self.weights[:] += weights.T @ counts
        self.flips[:] += added.T @ signs(keys, replicates)

    def merge(self, other: Self) -> Self:
        return type(self)(*(a + b for a, b in zip(*map(_of, (self, other)), strict=True)))

    def to_vectors(self) -> Float64:
        """(m, 6 + 3 R): what adds up."""
        return np.concatenate(_of(self), axis=1)

    @classmethod
    def from_vectors(cls, vectors: Float64) -> Self:
        """Of what `to_vectors` makes, and of sums of several such."""
        moments, rest = vectors[:, :_MOMENTS], vectors[:, _MOMENTS:]
        return cls(moments, *np.split(rest, 3, axis=1))

    @property
    def units(self) -> int:
        """Over how many units the first mean is."""
        return int(self.moments[0, 0])

    def means(self) -> Float64:
        """(m,); NaN where there is no unit."""
        return _ratio(self.moments[:, 2], self.moments[:, 1])

    def replicates(self) -> Float64:
        """The means of each replicate: (m, R); NaN where it has no unit."""
        return _ratio(self.totals, self.weights)

    def standard_errors(self) -> Float64:
        """Of the means, which are ratios of two sums over units (Cochran 1977, section 2.11): (m,);
        NaN below two units.
        """
        count, weight, _, ww, wwx, wwxx = self.moments.T
        means = self.means()
        squares = np.maximum(wwxx - 2 * means * wwx + means**2 * ww, 0)
        return np.sqrt(_ratio(squares * count, count - 1)) / np.where(weight > 0, weight, np.nan)


def _of(sums: Resampled) -> tuple[Float64, Float64, Float64, Float64]:
    return sums.moments, sums.totals, sums.weights, sums.flips


def _ratio(above: Float64, below: Float64) -> Float64:
    """NaN where there is nothing to divide by."""
    is_there = below > 0
    ratio: Float64 = np.where(is_there, above / np.where(is_there, below, 1), np.nan)
    return ratio
