"""Groups of equal entries that stand together."""

import numpy as np

from emberline.numeric.arrays import Array, Int64


def place_among(*keys: Array) -> Int64:
    """How many entries before each have the same keys, which stand together: (n,)."""
    if not len(keys[0]):
        return np.empty(0, np.int64)
    is_first = np.ones(len(keys[0]), bool)
    is_first[1:] = np.any([key[1:] != key[:-1] for key in keys], axis=0)
    starts = np.flatnonzero(is_first)
    return np.arange(len(keys[0])) - np.repeat(starts, np.diff([*starts, len(keys[0])]))
