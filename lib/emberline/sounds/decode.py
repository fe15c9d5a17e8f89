"""Encoded sounds as samples of one length, rate and channel, or a reason why not.

A file is judged by its header before anything of it is decoded, and decoded in blocks, so that
memory does not grow with its length; all of it is decoded, so that damage anywhere in it is found.
"""

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import soundfile
import soxr

from emberline.errors import UnusableError
from emberline.numeric.arrays import Float32
from emberline.sounds import signatures
from emberline.sounds.mapped import Mapped

_BLOCK = 1 << 18  # samples, of all channels, that are decoded at once
_LOWEST_RATE, _HIGHEST_RATE = 1_000, 768_000  # hertz
_SMALL = 1 << 20  # bytes that may be copied
_SILENCE = 1e-4  # of full scale: -80 dB, three steps of 16 bits
_STEPS = 20  # a second: where the loudest part may begin
# what libsndfile notes of a header whose length is not what is there
_LENGTHS = re.compile(r": (\d+) \(should be (\d+)\)")
_UNKNOWN = 0x7FFF0000  # lengths from here on are how streams say that they do not know it yet
_CUT = ("ended unexpectedly", "does not match value from 'ds64'", "not equal to frame count")
_TRUNCATED = "truncated: less is there than its header says"

Keep = Literal["start", "middle", "loudest"]


class UnusableSoundError(UnusableError):
    """The bytes give no sound."""


@dataclass(frozen=True)
class Clip:
    """What sounds become: so many `seconds` of one channel, `rate` samples a second.

    Of a longer one the first seconds are kept, those in its middle, or the loudest; a shorter one
    is followed by silence, or else stands in the middle of it. One of more than `max_seconds` is
    refused.
    """

    rate: int
    seconds: float
    keep: Keep
    max_seconds: float

    @property
    def samples(self) -> int:
        return round(self.rate * self.seconds)


def decode(content: bytes | memoryview, clip: Clip) -> Float32:
    """(n,), up to clip.samples, what follows being silence: what is kept of a sound, 1 being full
    scale, its channels' mean.

    Raises UnusableSoundError whatever is wrong with the bytes; many are not copied.
    """
    if reason := signatures.foreign(content):
        raise UnusableSoundError(reason)
    with _opened(content) as sound:
        _check_header(sound, clip)
        kept = _kept(sound, clip)
        rate = sound.samplerate
    if rate != clip.rate:
        kept = soxr.resample(kept, rate, clip.rate)
    return _placed(kept[: clip.samples], clip)


@contextmanager
def _opened(content: bytes | memoryview) -> Iterator[soundfile.SoundFile]:
    file = io.BytesIO(content) if len(content) <= _SMALL else Mapped(memoryview(content))
    try:
        with soundfile.SoundFile(file) as sound:
            yield sound
    except soundfile.LibsndfileError as error:
        words = " ".join(error.error_string.split()).rstrip(".")
        if "Format not recognised" in words:
            raise UnusableSoundError("no sound in a format that libsndfile reads") from error
        raise UnusableSoundError(f"damaged or truncated: {words.removeprefix('Error : ')}") from (
            error
        )


def _check_header(sound: soundfile.SoundFile, clip: Clip) -> None:
    """Raises UnusableSoundError for what need not be decoded to be refused."""
    if _is_cut(sound.extra_info):
        raise UnusableSoundError(_TRUNCATED)
    if not _LOWEST_RATE <= sound.samplerate <= _HIGHEST_RATE:
        raise UnusableSoundError(
            f"a sampling rate outside {_LOWEST_RATE:,} to {_HIGHEST_RATE:,} Hz"
        )
    if sound.frames == 0:
        raise UnusableSoundError("no samples")
    if sound.frames > clip.max_seconds * sound.samplerate:
        raise UnusableSoundError(f"longer than sounds.max_seconds = {clip.max_seconds:g}")


def _is_cut(notes: str) -> bool:
    """Whether libsndfile has noted that less is there than a header says."""
    lengths = _LENGTHS.findall(notes) if "should be" in notes else ()
    said_more = any(int(there) < int(said) < _UNKNOWN for said, there in lengths)
    return said_more or any(words in notes for words in _CUT)


def _kept(sound: soundfile.SoundFile, clip: Clip) -> Float32:
    """(n,) at the sound's own rate: its part to be kept, when all of it is decoded and good."""
    need = math.ceil(clip.seconds * sound.samplerate)
    step = max(1, sound.samplerate // _STEPS)
    blocks: list[Float32] = []
    energies: list[Float32] = []
    total, lowest, highest = 0, math.inf, -math.inf
    for block in _blocks(sound, step):
        total += len(block)
        lowest, highest = min(lowest, float(block.min())), max(highest, float(block.max()))
        blocks = [block] if total == len(block) else []
        if clip.keep == "loudest" and sound.frames > need:
            energies.append(np.add.reduceat(np.square(block), np.arange(0, len(block), step)))
    if total < sound.frames:
        raise UnusableSoundError(_TRUNCATED)
    if highest - lowest < 2 * _SILENCE:
        raise UnusableSoundError("silent: nothing is louder than -80 dB of full scale")
    first = _PLACES[clip.keep](max(0, total - need), need, step, energies)
    part = blocks[0][first : first + need] if blocks else _read(sound, first, need)
    if len(part) < total and part.max() - part.min() < 2 * _SILENCE:
        raise UnusableSoundError("silent in the part that is kept: change sounds.keep")
    return part


def _blocks(sound: soundfile.SoundFile, step: int) -> Iterator[Float32]:
    """(n,) samples after samples, all but the last a multiple of `step`."""
    size = max(1, _BLOCK // sound.channels // step) * step
    for _ in range(0, sound.frames, size):
        if len(block := _mono(sound, size)):
            yield block


def _mono(sound: soundfile.SoundFile, count: int) -> Float32:
    """(n,): the next samples, up to so many. Raises UnusableSoundError where one is no number."""
    samples = sound.read(count, "float32", always_2d=True)
    mean: Float32 = samples[:, 0] if sound.channels == 1 else samples.mean(axis=1)
    if len(mean) and not math.isfinite(mean.sum(dtype=np.float64)):
        raise UnusableSoundError("samples that are not finite numbers")
    return mean


def _read(sound: soundfile.SoundFile, first: int, count: int) -> Float32:
    sound.seek(first)
    size = max(1, _BLOCK // sound.channels)
    pieces = [_mono(sound, min(size, count - at)) for at in range(0, count, size)]
    return np.concatenate(pieces)


def _loudest(spare: int, need: int, step: int, energies: list[Float32]) -> int:
    """Where the most energy follows within `need` samples, to one of its steps."""
    if not energies:
        return 0
    sums = np.cumsum(np.concatenate([[0.0], *energies], dtype=np.float64))
    width = min(math.ceil(need / step), len(sums) - 1)
    return min(int(np.argmax(sums[width:] - sums[:-width])) * step, spare)


_PLACES: dict[Keep, Callable[[int, int, int, list[Float32]], int]] = {
    "start": lambda spare, need, step, energies: 0,
    "middle": lambda spare, need, step, energies: spare // 2,
    "loudest": _loudest,
}


def _placed(part: Float32, clip: Clip) -> Float32:
    """What is too short, in the middle where not the beginning counts: (n,), with silence before
    it.
    """
    first = 0 if clip.keep == "start" else (clip.samples - len(part)) // 2
    return np.concatenate([np.zeros(first, np.float32), part]) if first else part
