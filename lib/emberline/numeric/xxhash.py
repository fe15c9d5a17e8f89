"""XXH64 (Collet, "XXH64 algorithm description") of many values at once, chained over columns as
Spark's function `xxhash64` does: the hash of a column is the seed of the next one's.

So draws that were made by Spark's function stay as they are.
"""

import numpy as np

from emberline.numeric.arrays import Int32, Int64, UInt8, UInt64

FIRST_SEED = np.uint64(42)  # of the first column, as in Spark
_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime)
    for prime in (
        0x9E3779B185EBCA87,
        0xC2B2AE3D27D4EB4F,
        0x165667B19E3779F9,
        0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)
_STRIPE = 32  # bytes that are taken in at once, in four lanes


def of_int32(values: Int32, seeds: UInt64) -> UInt64:
    """The hash (n,) of each integer (n,), of 4 bytes, with a seed each, or one for all."""
    return _finish(_with_half_word(seeds + _P5 + np.uint64(4), values.view(np.uint32)))


def of_int64(values: Int64, seeds: UInt64) -> UInt64:
    """The hash (n,) of each integer (n,), of 8 bytes, with a seed each, or one for all."""
    return _finish(_with_word(seeds + _P5 + np.uint64(8), values.view(np.uint64)))


def of_texts(content: UInt8, ends: Int32, seeds: UInt64) -> UInt64:
    """The hash (n,) of each text (n,), the text i from `ends[i]` to before `ends[i + 1]` in
    `content`, with a seed each.
    """
    lengths = np.diff(ends)
    found = np.empty(len(lengths), np.uint64)
    for length in np.unique(lengths).tolist():
        chosen = np.flatnonzero(lengths == length)
        texts = content[ends[chosen, None] + np.arange(length)]
        found[chosen] = _of_length(texts, seeds[chosen])
    return found


def _of_length(texts: UInt8, seeds: UInt64) -> UInt64:
    """The hash of each of texts (n, length) of one length."""
    length = texts.shape[1]
    whole = length // 8 * 8
    words = np.ascontiguousarray(texts[:, :whole]).view("<u8").astype(np.uint64)
    stripes = length // _STRIPE * 4
    found = _of_stripes(words[:, :stripes], seeds) if stripes else seeds + _P5
    found = found + np.uint64(length)
    for word in words[:, stripes:].T:
        found = _with_word(found, word)
    if length - whole >= 4:
        half = np.ascontiguousarray(texts[:, whole : whole + 4]).view("<u4").ravel()
        found = _with_half_word(found, half)
        whole += 4
    for byte in texts[:, whole:].T:
        found = _rotated(found ^ byte.astype(np.uint64) * _P5, 11) * _P1
    return _finish(found)


def _of_stripes(words: UInt64, seeds: UInt64) -> UInt64:
    """Of words (n, 4 m), four lanes side by side."""
    lanes = [seeds + _P1 + _P2, seeds + _P2, seeds + np.uint64(0), seeds - _P1]
    for first in range(0, words.shape[1], 4):
        lanes = [_round(lane, words[:, first + at]) for at, lane in enumerate(lanes)]
    found = np.zeros_like(seeds)
    for lane, by in zip(lanes, (1, 7, 12, 18), strict=True):
        found = found + _rotated(lane, by)
    for lane in lanes:
        found = (found ^ _rounded(lane)) * _P1 + _P4
    return found


def _round(lane: UInt64, word: UInt64) -> UInt64:
    return _rotated(lane + word * _P2, 31) * _P1


def _rounded(word: UInt64) -> UInt64:
    return _rotated(word * _P2, 31) * _P1


def _with_word(state: UInt64, word: UInt64) -> UInt64:
    return _rotated(state ^ _rounded(word), 27) * _P1 + _P4


def _with_half_word(state: UInt64, word: UInt64) -> UInt64:
    return _rotated(state ^ word.astype(np.uint64) * _P1, 23) * _P2 + _P3


def _rotated(bits: UInt64, by: int) -> UInt64:
    return (bits << np.uint64(by)) | (bits >> np.uint64(64 - by))


def _finish(bits: UInt64) -> UInt64:
    bits = (bits ^ (bits >> np.uint64(33))) * _P2
    bits = (bits ^ (bits >> np.uint64(29))) * _P3
    return bits ^ (bits >> np.uint64(32))
