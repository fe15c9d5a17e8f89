"""Random bits that depend on numbers alone, whatever order and machine they are computed in.

They are SplitMix64's (Steele, Lea and Flood 2014): its n-th number is `finish(seed + n * STEP)`.
"""

import numpy as np

from emberline.numeric.arrays import Bool, Int32, UInt8, UInt64

STEP = np.uint64(0x9E3779B97F4A7C15)


def finish(bits: UInt64) -> UInt64:
    """SplitMix64's output function: any states (n,) to 64 well mixed bits each."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def mix(bits: UInt64) -> UInt64:
    """The next number after each state: any numbers (n,) to 64 well mixed bits each."""
    return finish(bits + STEP)


def of_ids(ids: Int32, seed: int) -> UInt64:
    """64 bits of each id (n,) and the seed."""
    return mix(ids.astype(np.uint64) + np.uint64(seed << 32))


def of_pairs(rows: Int32, columns: Int32, seed: int) -> UInt64:
    """64 bits of each pair (n,) and the seed."""
    return mix(of_ids(rows, seed) + columns.astype(np.uint64))


def of_texts(content: UInt8, ends: Int32) -> UInt64:
    """64 bits of each text (n,), whose bytes lie one text after the other in `content`, the text i
    from `ends[i]` to before `ends[i + 1]`: a polynomial of the bytes, mixed.
    """
    lengths = np.diff(ends)
    within = np.arange(len(content)) - np.repeat(ends[:-1], lengths)
    powers = np.cumprod(np.full(int(lengths.max(initial=0)) + 1, STEP), dtype=np.uint64)
    terms = (content.astype(np.uint64) + np.uint64(1)) * powers[within]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    return mix(sums[ends[1:]] - sums[ends[:-1]])


def below(bits: UInt64, share: float) -> Bool:
    """Whether each (n,) is among that share of all numbers of 64 bits."""
    chosen: Bool = bits < np.float64(share) * 2.0**64
    return chosen


def one_in(bits: UInt64, count: int) -> Bool:
    """Whether each (n,) is among one in so many numbers."""
    chosen: Bool = bits % np.uint64(count) == 0
    return chosen
