"""Factors of new items by ridge regressions on what is plain to see of their pictures."""

from functools import partial

from emberline.cf import plain
from emberline.cf.blocks import matrix_of
from emberline.cf.kernels import Landmarks
from emberline.cf.plain import DRAWN, PREDICTED, TRAIN, VAL, Inputs
from emberline.cf.ridge import Moments, choose
from emberline.flow.rows import Rows
from emberline.flow.sums import summed
from emberline.models import KERNEL_HISTOGRAM, LINEAR_HISTOGRAM, LINEAR_PIXELS

_STRENGTHS = tuple(10.0 ** (half / 2) for half in range(-6, 7))
_LANDMARKS = 250
_REGRESSIONS = {  # the column that is seen, and whether it passes the kernel
    LINEAR_PIXELS.name: ("pixels", False),
    LINEAR_HISTOGRAM.name: ("colours", False),
    KERNEL_HISTOGRAM.name: ("colours", True),
}


def regressed(known: Rows, rank: int) -> Rows:
    """PREDICTED, by _REGRESSIONS."""
    landmarks = _landmarks(known)
    inputs = {
        name: Inputs(column, landmarks if is_kernel else None)
        for name, (column, is_kernel) in _REGRESSIONS.items()
    }
    return regressions(known, inputs, rank)


def _landmarks(known: Rows) -> Landmarks:
    """The colours of some items in training, chosen by hash."""
    drawn = known.map(partial(plain.draw, count=_LANDMARKS), DRAWN).table()
    first = drawn.sort_by([("hash", "ascending"), ("id", "ascending")]).slice(0, _LANDMARKS)
    return Landmarks.of(matrix_of(first["colours"].combine_chunks(), len(first)))


def regressions(known: Rows, inputs: dict[str, Inputs], rank: int) -> Rows:
    """PREDICTED, by ridge regression on each of the inputs, whose strength is chosen on the
    validation items.
    """
    sums = summed(known, partial(plain.sum_moments, inputs=inputs))
    moments = {block: Moments.of_flat(found, rank) for block, found in sums.items()}
    weights = {}
    for number, name in enumerate(inputs):
        train = moments[2 * number + TRAIN]
        weights[name] = choose(train, moments.get(2 * number + VAL, train), _STRENGTHS)
    return known.map(partial(plain.apply_weights, inputs=inputs, weights=weights), PREDICTED)
