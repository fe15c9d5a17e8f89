"""Log-mel spectrograms: what a sound's samples are in time and pitch, as one-channel pictures.

Row 0 is the highest band, and column 0 the beginning, as spectrograms are drawn.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from emberline.numeric.arrays import Float32, Float64, UInt8

_LINEAR = 200 / 3  # hertz of a mel, below the break
_BREAK = 1000.0  # hertz, from which on mels are logarithmic
_LOG_STEP = np.log(6.4) / 27
_LEAST = 1e-10  # power, so that silence has a logarithm
_SOUNDS_AT_ONCE = 4  # in a fast cache


@dataclass(frozen=True)
class Mel:
    """How sounds of `rate` samples a second are transformed: in windows of so many samples, one
    every `hop`, to so many bands of pitch; `decibels` is the range from black to white.
    """

    rate: int
    window: int
    hop: int
    bands: int
    decibels: float

    def frames(self, samples: int) -> int:
        """How many windows there are of so many samples: the picture's width."""
        return 1 + samples // self.hop


def levels(sounds: Float32, mel: Mel) -> UInt8:
    """(n, bands, frames) of sounds (n, samples): 255 where a sound is loudest, 0 where it is
    `decibels` below that, or more.
    """
    pictures = np.empty((len(sounds), mel.bands, mel.frames(sounds.shape[1])), np.uint8)
    for first in range(0, len(sounds), _SOUNDS_AT_ONCE):
        some = log_mel(sounds[first : first + _SOUNDS_AT_ONCE], mel)
        below = some.max(axis=(1, 2), keepdims=True) - some
        found = np.rint(255 - np.minimum(below * (255 / mel.decibels), 255))
        pictures[first : first + _SOUNDS_AT_ONCE] = found[:, ::-1]
    return pictures


def log_mel(sounds: Float32, mel: Mel) -> Float64:
    """(n, bands, frames) in decibels of sounds (n, samples), the lowest band first:

        S[b, t] = 10 log10 max(1e-10, sum_k M[b, k] |X[t, k]|^2)
        X[t, k] = sum_m w[m] x[t hop + m - window / 2] exp(-2 pi i k m / window)

    with w the periodic Hann window, x 0 outside the sound, and M of `filters`. It is librosa's
    `power_to_db(melspectrogram(y, sr, n_fft, hop_length, n_mels, pad_mode="constant"))` (McFee et
    al., librosa: Audio and Music Signal Analysis in Python, SciPy 2015).
    """
    spectra = np.fft.rfft(_windows(sounds, mel) * _hann(mel.window))
    power = np.square(spectra.real) + np.square(spectra.imag)
    bands = power @ filters(mel.rate, mel.window, mel.bands).T
    decibels: Float64 = 10 * np.log10(np.maximum(bands, _LEAST))
    return decibels.transpose(0, 2, 1)


def _windows(sounds: Float32, mel: Mel) -> Float64:
    """(n, frames, window): each begins half a window before its moment; not to be written to."""
    count, samples = sounds.shape
    padded = np.zeros((count, samples + mel.window))
    padded[:, mel.window // 2 : mel.window // 2 + samples] = sounds
    shape = (count, mel.frames(samples), mel.window)
    row, step = padded.strides
    return np.lib.stride_tricks.as_strided(padded, shape, (row, mel.hop * step, step))


@cache
def _hann(window: int) -> Float64:
    """(window,): sin^2(pi m / window)."""
    weights: Float64 = np.square(np.sin(np.pi * np.arange(window) / window))
    return weights


@cache
def filters(rate: int, window: int, bands: int) -> Float64:
    """(bands, 1 + window // 2) M: triangles over the frequencies of a spectrum, whose corners are
    equally far apart in mel, each divided by half its width in hertz.

    Slaney, Auditory Toolbox, Interval Research 1998: mel(f) = 3 f / 200 below 1 kHz, and
    15 + 27 log(f / 1000) / log 6.4 from there on.
    """
    highest = _BREAK / _LINEAR + np.log(max(rate / 2, _BREAK) / _BREAK) / _LOG_STEP
    if rate / 2 < _BREAK:
        highest = rate / 2 / _LINEAR
    corners = _hertz(np.linspace(0, highest, bands + 2))
    frequencies = np.fft.rfftfreq(window, 1 / rate)
    slopes = (frequencies - corners[:, None]) / np.diff(corners, append=np.inf)[:, None]
    rising, falling = slopes[:-2], 1 - slopes[1:-1]
    triangles = np.maximum(0, np.minimum(rising, falling))
    found: Float64 = triangles * (2 / (corners[2:] - corners[:-2]))[:, None]
    return found


def _hertz(mels: Float64) -> Float64:
    least = _BREAK / _LINEAR
    return np.where(mels < least, mels * _LINEAR, _BREAK * np.exp(_LOG_STEP * (mels - least)))
