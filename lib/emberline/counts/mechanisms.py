"""Noise for counts, by OpenDP: integers of the discrete Laplace distribution, drawn from the
operating system's randomness. No seed gives them again, for whoever knew it could take them off.

A count plus noise of scale b is P(noise = z) ~ exp(-|z| / b) (Ghosh, Roughgarden and Sundararajan,
"Universally Utility-Maximizing Privacy Mechanisms", 2009). If one person changes all counts
together by at most d, b = d / epsilon gives epsilon-differential privacy. Where the keys themselves
tell of people, only those are shown whose noisy count is at least a threshold, which those of one
person alone reach with probability delta at most (Korolova, Kenthapadi, Mishra and Ntoulas,
"Releasing Search Queries and Clicks Privately", 2009).
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import opendp.prelude as dp

from emberline.numeric.arrays import Int64

_MOST = 1 << 40  # that a threshold is looked for below
_COUNT = "i64"


@dataclass(frozen=True)
class Noise:
    """What was drawn: the noise's scale, where keys are unknown the least count that is shown, and
    what that costs, as OpenDP has it.
    """

    scale: float
    threshold: int | None
    epsilon: float
    delta: float


def of_known(counts: Int64, per_user: int, epsilon: float) -> tuple[Int64, Noise]:
    """Counts (n,) of keys that are no secret, noisy, of which none is below 0; one person changes
    all of them together by at most `per_user`.
    """

    def cost(scale: float) -> float:
        return float(_known(scale).map(per_user))  # type: ignore[no-untyped-call]

    scale = _scale(cost, per_user, epsilon)
    drawn = np.array(_known(scale)(counts.tolist()), np.int64) if len(counts) else counts
    return np.maximum(drawn, 0), Noise(scale, None, cost(scale), 0.0)


def of_unknown(
    counts: Int64, per_user: int, epsilon: float, delta: float
) -> tuple[Int64, Int64, Noise]:
    """The places, ascending, of those counts (n,), all above 0, that are shown, and these, noisy
    (m,): one person adds at most 1 to each of at most `per_user` of them.
    """
    cost = _cost((per_user, per_user, 1))
    scale = _scale(lambda scale: cost(scale, _MOST)[0], per_user, epsilon)
    paid = bisect_left(range(_MOST), True, 1, key=lambda least: cost(scale, least)[1] <= delta)
    # what reaches a threshold is shown, and OpenDP's delta is of what is above it (opendp#2922)
    threshold = paid + 1
    drawn = _unknown(scale, threshold)(dict(enumerate(counts.tolist()))) if len(counts) else {}
    places = np.array(sorted(drawn), np.int64)
    shown = np.array([drawn[place] for place in places.tolist()], np.int64)
    return places, shown, Noise(scale, threshold, *cost(scale, paid))


def _scale(epsilon_of: Callable[[float], float], per_user: int, epsilon: float) -> float:
    """The scale of which the library, which rounds upwards, says that it costs no more."""
    scale = per_user / epsilon
    while epsilon_of(scale) > epsilon:
        scale = math.nextafter(scale, math.inf)
    return scale


def _cost(changed: tuple[int, int, int]) -> Callable[[float, int], tuple[float, float]]:
    """Epsilon and delta of a scale and a threshold."""

    def cost(scale: float, threshold: int) -> tuple[float, float]:
        measurement = _unknown(scale, threshold)
        epsilon, delta = measurement.map(changed)  # type: ignore[no-untyped-call]
        return float(epsilon), float(delta)

    return cost


def _known(scale: float) -> dp.Measurement:
    dp.enable_features("contrib")
    counts = dp.vector_domain(dp.atom_domain(T=_COUNT))
    return dp.m.make_laplace(counts, dp.l1_distance(T=_COUNT), scale)


def _unknown(scale: float, threshold: int) -> dp.Measurement:
    dp.enable_features("contrib")
    count = dp.atom_domain(T=_COUNT)
    by_key = dp.map_domain(count, count)
    changes = dp.l01inf_distance(dp.absolute_distance(T=_COUNT))
    return dp.m.make_laplace_threshold(by_key, changes, scale, threshold)
