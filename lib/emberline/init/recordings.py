"""A folder of recordings: how many there are, and what a few of their headers say."""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from emberline import extras
from emberline.datasets import storage
from emberline.datasets.listing import RawFile

_LOOKED_AT = 40  # files
_LARGEST = 64 << 20  # bytes of a file that is looked at
_HIGHEST_RATE = 16_000  # that tells most voices and instruments
_MOST_SECONDS = 10.0
_STEP = 0.5  # seconds
_SHARE = 90  # percent of the sounds are kept whole


@dataclass(frozen=True)
class Recordings:
    """A folder of sounds, and how many there are; to how many samples a second they are best
    resampled, and how many seconds of each are kept. None where no header could be read.
    """

    path: Path
    count: int
    rate: int | None = None
    seconds: float | None = None


def heard(path: Path, files: Sequence[RawFile]) -> Recordings:
    """What some of the files say; nothing where the extra for sound is not installed."""
    step = max(1, len(files) // _LOOKED_AT)
    found = list(_headers(files[::step][:_LOOKED_AT])) if extras.SOUND.is_here() else []
    if not found:
        return Recordings(path, len(files))
    rates, lengths = zip(*found, strict=True)
    rate = min(Counter(rates).most_common(1)[0][0], _HIGHEST_RATE)
    longest = float(np.percentile(lengths, _SHARE))
    seconds = min(max(_STEP, np.ceil(longest / _STEP) * _STEP), _MOST_SECONDS)
    return Recordings(path, len(files), int(rate), float(seconds))


def _headers(files: Sequence[RawFile]) -> Iterator[tuple[int, float]]:
    """The rate and the length in seconds of each that has a header."""
    import soundfile  # an extra, which init does without

    for file in files:
        if file.size > _LARGEST:
            continue
        with storage.open_input(file.path) as opened:
            content = opened.read()
        try:
            info = soundfile.info(io.BytesIO(content))
        except soundfile.LibsndfileError:
            continue
        if info.frames:
            yield info.samplerate, info.duration
