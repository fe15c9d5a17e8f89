"""Sounds to be played in a browser, a few kilobytes each."""

import io

import numpy as np
import soundfile
import soxr

from emberline.numeric.arrays import Float32

RATE = 8_000  # samples a second, of a byte each
_HEADER = 100  # bytes, at most


def bytes_of(seconds: float) -> int:
    """How large a WAV file of so many seconds is, at most."""
    return _HEADER + round(seconds * RATE) + 1


def playable(samples: Float32, rate: int, seconds: float) -> bytes:
    """A WAV file of the first seconds of samples (n,) of one channel, telephone's quality: 8 kHz
    in 8 bits of mu-law (ITU-T G.711), which browsers play.
    """
    part = samples[: round(seconds * rate)]
    if rate > RATE:
        part = soxr.resample(part, rate, RATE)
    file = io.BytesIO()
    rate_now = min(rate, RATE)
    soundfile.write(file, np.clip(part, -1, 1), rate_now, format="WAV", subtype="ULAW")
    return file.getvalue()
