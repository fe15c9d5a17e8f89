"""Factors before the first iteration, and as they are published."""

import numpy as np

from emberline.cf.als.objective import Objective
from emberline.numeric import hashing
from emberline.numeric.arrays import Float32, Int32

_CHUNK = 1 << 14  # rows that are in uint64 at a time


def initial_factors(ids: Int32, rank: int, seed: int, nonnegative: bool = False) -> Float32:
    """(n, rank): random directions that depend on the seed and each id alone."""
    factors = np.empty((len(ids), rank), np.float32)
    for first in range(0, len(ids), _CHUNK):
        factors[first : first + _CHUNK] = _directions(
            ids[first : first + _CHUNK], rank, seed, nonnegative
        )
    return factors


def _directions(ids: Int32, rank: int, seed: int, nonnegative: bool) -> Float32:
    numbers = (ids.astype(np.int64)[:, None] * rank + np.arange(rank)).astype(np.uint64)
    state = hashing.mix(numbers + hashing.mix(np.full(1, seed, np.uint64)))
    uniform = (state >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    vectors = uniform if nonnegative else 2 * uniform - 1
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    directions: Float32 = vectors / np.maximum(lengths, np.float32(1e-12))
    return directions


def published(factors: Float32, side: str, objective: Objective) -> Float32:
    """Factors (m, width) of users or items, with biases written so that the dot product of both
    sides' is the prediction.

    A user's are then `x', bias + mean, 1`, an item's `y', 1, bias`: (m, rank + 2).
    """
    if not objective.biases:
        return factors
    vectors, bias, one = factors[:, :-1], factors[:, -1:], np.ones((len(factors), 1), np.float32)
    tail = [bias + np.float32(objective.mean), one] if side == "user" else [one, bias]
    return np.hstack([vectors, *tail])


def unpublished(factors: Float32, side: str, objective: Objective) -> Float32:
    """What `published` was given."""
    if not objective.biases:
        return factors
    bias = factors[:, -2:-1] - np.float32(objective.mean) if side == "user" else factors[:, -1:]
    return np.hstack([factors[:, :-2], bias])
