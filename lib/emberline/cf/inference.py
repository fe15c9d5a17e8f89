"""What replicates say of a metric, and of the difference of two: intervals and p-values.

Intervals are percentiles of the Poisson bootstrap, widened for few units to those of Student's t as
far as a normal distribution has them (the expanded percentile interval, Hesterberg 2015, section
6.2: plain percentiles are too narrow by the factor sqrt((n - 1) / n) and by the tails of t).

Where users share items, as with items that nobody has rated, both are samples. A replicate then
deviates by what users drawn again make of it, and by what items drawn again do: the variances of
both add up, each with the noise of single pairs in it, which counts that twice, and so is
cautious (Owen 2007 has the sum for the pigeonhole bootstrap, which counts it three times). The sum
of two such deviations may leave the range of the metric, as an area of 1.02 does where items are
few; an interval is cut to the range, which loses none of its confidence: no true value is outside.

Whether two models differ is asked of a paired randomisation test: were they alike, what a unit adds
to the difference would as likely have the other sign. No Wilcoxon and no sign test: at these sizes
they err too often (Ihemelandu and Ekstrand, SIGIR 2023).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from emberline.cf.metrics import metric_of
from emberline.cf.resampling import Resampled
from emberline.numeric.arrays import Float64

LEVEL = 0.95


@dataclass(frozen=True)
class Sample:
    """One mean over users and, where these share them, over items; `is_root`: the metric is its
    square root, as of squared errors. The metric is `least` or more, and `most` or less.
    """

    users: Resampled
    items: Resampled | None = None
    is_root: bool = False
    least: float = -math.inf
    most: float = math.inf

    @classmethod
    def of(cls, metric: str, users: Resampled, items: Resampled | None = None) -> Self:
        """Of a metric by its name; nothing is known of the range of one that is not in the table of
        metrics.
        """
        known = metric_of(metric)
        if known is None:
            return cls(users, items)
        return cls(users, items, known.is_root, known.least, known.most)

    @property
    def value(self) -> float:
        return float(self._of(self.users.means())[0])

    @property
    def units(self) -> int:
        """The smaller number of users and items."""
        return min(by.units for by in self.sides)

    @property
    def standard_error(self) -> float:
        """The larger one of over users and over items, of those that are known; NaN below two units
        of both. That of a root is by the delta method.
        """
        error = float(np.fmax.reduce([by.standard_errors()[0] for by in self.sides]))
        if not self.is_root:
            return error
        return error / (2 * self.value) if self.value else float("nan")

    def replicates(self) -> Float64:
        """The metric of each replicate: (R,)."""
        return self.value + self.deviations()

    def deviations(self) -> Float64:
        """What each replicate (R,) deviates from the metric by."""
        deviations = [self._of(by.replicates()[0]) - self.value for by in self.sides]
        return np.asarray(sum(deviations, np.zeros(len(deviations[0]))))

    def interval(self) -> tuple[float, float] | None:
        """Which the metric lies in at LEVEL, if it can be known: see `interval`."""
        return interval(self.replicates(), self.units, self.least, self.most)

    @property
    def sides(self) -> list[Resampled]:
        """What is drawn."""
        return [self.users] if self.items is None else [self.users, self.items]

    def _of(self, means: Float64) -> Float64:
        return np.asarray(np.sqrt(np.maximum(means, 0))) if self.is_root else means


@dataclass(frozen=True)
class Difference:
    """A metric of one model less that of another one, its interval at LEVEL, and the p-value of
    their being alike.
    """

    value: float
    interval: tuple[float, float] | None
    p: float


def difference(one: Sample, other: Sample) -> Difference:
    """Of one metric of two models over the same units, which weigh the same in both."""
    value, reach = one.value - other.value, one.most - one.least
    replicates = value + one.deviations() - other.deviations()
    found = interval(replicates, one.units, -reach, reach)
    sides = zip(one.sides, other.sides, strict=True)
    flipped = sum((_flipped(*side, one.is_root) for side in sides), np.zeros(1))
    # a replicate that comes out at the very same difference must not be missed for rounding
    least = abs(value) * (1 - 1e-9)
    p = (1 + int((abs(flipped) >= least).sum())) / (1 + len(replicates))
    return Difference(value, found, p)


def _flipped(one: Resampled, other: Resampled, is_root: bool) -> Float64:
    """The difference of each replicate (R,), in which some units have changed sides."""
    weight = one.moments[0, 1]
    both = (one.moments[0, 2] + other.moments[0, 2]) / 2
    half = (one.flips[0] - other.flips[0]) / 2
    ones, others = (both + half) / weight, (both - half) / weight
    if is_root:
        ones, others = (np.sqrt(np.maximum(means, 0)) for means in (ones, others))
    return np.asarray(ones - others)


def interval(
    replicates: Float64, units: int, least: float, most: float
) -> tuple[float, float] | None:
    """The expanded percentile interval of replicates (R,), cut to what there can be; None below
    two units, and where all replicates are alike, as of hits where there is none: what did not vary
    says nothing of how far it might.
    """
    if units < 2 or not np.nanmax(replicates) > np.nanmin(replicates):
        return None
    from scipy import special  # which takes as long to import as the whole command line

    tail = (1 - LEVEL) / 2
    reach = special.stdtrit(units - 1, tail) * np.sqrt(units / (units - 1))
    share = float(special.ndtr(reach))
    low, high = np.clip(np.nanquantile(replicates, [share, 1 - share]), least, most)
    return float(low), float(high)


def adjusted(ps: Sequence[float]) -> list[float]:
    """p-values of a family of tests (n,), so raised that one below a level is among all of them a
    mistake no more often than that (Holm 1979).
    """
    order = np.argsort(ps, kind="stable")
    raised = np.asarray(ps, np.float64)[order] * np.arange(len(ps), 0, -1)
    found = np.empty(len(ps))
    found[order] = np.minimum(np.maximum.accumulate(raised), 1)
    return [float(p) for p in found]
