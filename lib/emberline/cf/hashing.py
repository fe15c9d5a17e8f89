"""Random bits that depend on numbers alone, whatever order and machine they are computed in."""

import numpy as np
import numpy.typing as npt

UInt64 = npt.NDArray[np.uint64]


def mix(bits: UInt64) -> UInt64:
    """SplitMix64's output function (Steele, Lea, Flood 2014): any numbers (n,) to 64 well mixed
    bits each.
    """
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def of_ids(ids: npt.NDArray[np.int32], seed: int) -> UInt64:
    """64 bits of each id (n,) and the seed."""
    return mix(ids.astype(np.uint64) + np.uint64(seed << 32))


def of_pairs(rows: npt.NDArray[np.int32], columns: npt.NDArray[np.int32], seed: int) -> UInt64:
    """64 bits of each pair (n,) and the seed."""
    return mix(of_ids(rows, seed) + columns.astype(np.uint64))
