"""Sounds to be played in a browser, a few kilobytes each."""

import io
from functools import cache

import numpy as np
import soundfile
import soxr

from emberline.numeric.arrays import Float32, UInt8

RATE = 8_000  # samples a second, of a byte each
_SCALE = 32_767


def bytes_of(seconds: float) -> int:
    """How large a WAV file of so many seconds is, at most."""
    count = round(seconds * RATE) // 2 * 2
    return len(_header(RATE, count)) + count


def playable(sounds: Float32, rate: int, seconds: float) -> list[bytes]:
    """A WAV file each of the first seconds of sounds (n, samples) of one channel, telephone's
    quality: 8 kHz in 8 bits of mu-law (ITU-T G.711), which browsers play.
    """
    parts = sounds[:, : round(seconds * rate)]
    if rate > RATE:
        parts = np.stack([soxr.resample(part, rate, RATE, "MQ") for part in parts])
    parts = parts[:, : parts.shape[1] // 2 * 2]  # chunks of RIFF have an even number of bytes
    levels = np.clip(parts * _SCALE, -_SCALE, _SCALE).astype(np.int16)
    header = _header(min(rate, RATE), levels.shape[1])
    return [header + codes.tobytes() for codes in _mu_law()[levels.view(np.uint16)]]


def _encoded(samples: "np.typing.NDArray[np.int16]", rate: int) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="ULAW")
    return file.getvalue()


@cache
def _mu_law() -> UInt8:
    """(65536,): libsndfile's code of each 16-bit level, by its bits."""
    levels = np.arange(1 << 16, dtype=np.uint16).view(np.int16)
    return np.frombuffer(_encoded(levels, RATE), np.uint8)[-len(levels) :]


@cache
def _header(rate: int, count: int) -> bytes:
    """What stands before so many codes."""
    return _encoded(np.zeros(count, np.int16), rate)[: -count or None]
