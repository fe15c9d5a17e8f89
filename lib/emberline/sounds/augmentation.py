"""The random changes that training makes to spectrograms: those of SpecAugment, loudness, and the
length of a vocal tract.
"""

from dataclasses import dataclass

import numpy as np

from emberline.numeric import hashing
from emberline.numeric.arrays import Int64, UInt8, UInt64

_LEVELS = 255


@dataclass(frozen=True)
class Changes:
    """How much may change: a move in time by up to `shift` columns, and in frequency by up to
    `band_shift` bands; columns and bands that are blotted out, up to so many of either; and up to
    so many `decibels` of gain, of the `of` from black to white.
    """

    shift: int = 0
    time_mask: int = 0
    band_mask: int = 0
    gain: float = 0.0
    of: float = 80.0
    band_shift: int = 0


def augment(pictures: UInt8, keys: UInt64, changes: Changes) -> UInt8:
    """(n, bands, frames, 1): each spectrogram changed as its key (n,) says.

    Silence comes in where a move uncovers; what is blotted out has the spectrogram's mean level.
    SpecAugment (Park et al. 2019), without its warping: a mask's width is uniform in 0..F, its
    place in what that leaves. Gain moves what is above the floor, which stays where it is. Moved in
    frequency, a voice is another's: bands are about logarithms, and formants lie where the length
    of the vocal tract has them (Jaitly and Hinton 2013, who stretch frequencies).
    """
    draws = hashing.finish(keys + np.arange(1, 8, dtype=np.uint64)[:, None] * hashing.STEP)
    changed = pictures[..., 0]
    if changes.shift:
        changed = _moved(changed, draws[0], changes.shift)
    if changes.band_shift:
        across = _moved(changed.swapaxes(1, 2), draws[6], changes.band_shift)
        changed = across.swapaxes(1, 2)
    if changes.gain:
        changed = _louder(changed, draws[1], changes.gain / changes.of * _LEVELS)
    if changes.time_mask or changes.band_mask:
        changed = _masked(changed, draws[2:6], changes)
    return changed[..., None]


def _moved(pictures: UInt8, draws: UInt64, shift: int) -> UInt8:
    count, bands, frames = pictures.shape
    padded = np.zeros((count, bands, frames + 2 * shift), np.uint8)
    padded[:, :, shift : shift + frames] = pictures
    windows = np.lib.stride_tricks.sliding_window_view(padded, frames, axis=2)
    moved: UInt8 = windows[np.arange(count), :, _below(draws, 2 * shift + 1)]
    return moved


def _louder(pictures: UInt8, draws: UInt64, most: float) -> UInt8:
    """By up to so many levels, either way."""
    gains = np.rint((_below(draws, 1 << 20) / (1 << 19) - 1) * most).astype(np.int16)
    levels = np.arange(_LEVELS + 1, dtype=np.int16)
    tables = np.clip(levels + gains[:, None], 0, _LEVELS).astype(np.uint8)
    tables[:, 0] = 0
    louder: UInt8 = np.take_along_axis(tables, pictures.reshape(len(pictures), -1), axis=1)
    return louder.reshape(pictures.shape)


def _masked(pictures: UInt8, draws: UInt64, changes: Changes) -> UInt8:
    _, bands, frames = pictures.shape
    columns = _spans(draws[0], draws[1], changes.time_mask, frames)[:, None, :]
    rows = _spans(draws[2], draws[3], changes.band_mask, bands)[:, :, None]
    means = np.rint(pictures.mean(axis=(1, 2), keepdims=True)).astype(np.uint8)
    masked: UInt8 = np.where(columns | rows, means, pictures)
    return masked


def _spans(widths: UInt64, places: UInt64, most: int, length: int) -> UInt8:
    """(n, length): 1 within a span of up to `most`, somewhere, of each row; 0 elsewhere."""
    width = _below(widths, min(most, length) + 1)
    first = ((places >> np.uint64(11)) / 2.0**53 * (length - width + 1)).astype(np.int64)
    at = np.arange(length)
    within = (at >= first[:, None]) & (at < (first + width)[:, None])
    return within.astype(np.uint8)


def _below(draws: UInt64, end: int) -> Int64:
    """(n,) from 0 to before `end`: what is left over of 64 bits is too little to matter."""
    return (draws % np.uint64(end)).astype(np.int64)
