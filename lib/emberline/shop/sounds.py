"""Sounds of a catalogue's items, played so that listening helps and comparing moments does not.

An item's shape is its rhythm, its texture its pitch, its colour the instrument, and its size the
tempo. When a sound begins, how loud it is and how well it is in tune are up to chance: no moment of
a spectrogram by itself says much about a rhythm.
"""

import io
import wave

import numpy as np
from numpy.typing import NDArray

from emberline.shop.catalogue import Catalogue
from emberline.shop.streams import stream

RATE = 8_000  # samples a second, of a byte each
SECONDS = 2.0
# eight steps each, over and over
RHYTHMS = {
    "march": "x...x...",
    "tango": "x..x..x.",
    "gallop": "x.xxx.xx",
    "shuffle": "x..xx..x",
    "roll": "xxxxxxxx",
    "bolero": "x.xxx.x.",
    "pulse": "x.x.x.x.",
    "knock": "xx....x.",
}
PITCHES = (98.0, 165.0, 277.0, 466.0, 784.0)  # hertz
# how strong the first partials of each are, and in how many seconds its tones fade
INSTRUMENTS = {
    "flute": ((1.0, 0.1, 0.02), 0.06),
    "clarinet": ((1.0, 0.0, 0.6, 0.0, 0.4), 0.06),
    "oboe": ((0.6, 1.0, 0.8, 0.5, 0.3), 0.06),
    "horn": ((1.0, 0.6, 0.3, 0.1), 0.08),
    "cello": ((0.8, 0.7, 0.6, 0.5, 0.4), 0.08),
    "organ": ((1.0, 0.8, 0.0, 0.6), 0.10),
    "bell": ((0.6, 0.0, 0.3, 0.0, 1.0), 0.12),
    "harp": ((1.0, 0.4, 0.2, 0.1), 0.04),
    "trumpet": ((0.5, 0.7, 1.0, 0.9, 0.6), 0.06),
}
TEMPOS = {"slow": 0.150, "steady": 0.125, "quick": 0.100}  # seconds of a step

_OUT_OF_TUNE = 0.03  # of the pitch, standard deviation
_ATTACK = 0.005  # seconds
_SOFTEST, _LOUDEST = 0.25, 0.9
_UNEVEN = 0.15  # of a tone's loudness, standard deviation
_NOISE = 0.02  # of full scale, standard deviation

Samples = NDArray[np.float64]


def words(rhythm: int, pitch: int, instrument: int, tempo: int) -> str:
    """What a title says: everything but the pitch, which is to be heard."""
    names = (list(TEMPOS)[tempo], list(INSTRUMENTS)[instrument], list(RHYTHMS)[rhythm])
    return " ".join(names).capitalize()


def play(catalogue: Catalogue) -> list[bytes]:
    """A WAV file per item, in the catalogue's order; a pure function of the catalogue."""
    rng = stream(catalogue.seed, "sounds")
    traits = (catalogue.shape, catalogue.texture, catalogue.colour, catalogue.size)
    return [_wav(_played(*kinds, rng)) for kinds in zip(*traits, strict=True)]


def _played(
    rhythm: int, pitch: int, instrument: int, tempo: int, rng: np.random.Generator
) -> Samples:
    """(SECONDS * RATE,) between -1 and 1."""
    step = list(TEMPOS.values())[tempo]
    pattern = list(RHYTHMS.values())[rhythm]
    hertz = PITCHES[pitch] * (1 + rng.normal(scale=_OUT_OF_TUNE))
    begin = rng.uniform(0, len(pattern) * step)  # somewhere within the first time
    count = round(SECONDS * RATE)
    sound = rng.normal(scale=_NOISE, size=count)
    tone = _tone(hertz, *list(INSTRUMENTS.values())[instrument])
    for number in range(int((begin + SECONDS) / step) + 1):
        if pattern[number % len(pattern)] == "x":
            first = round((number * step - begin) * RATE)
            part = tone[max(0, -first) : max(0, count - first)]
            if len(part):
                at = max(0, first)
                sound[at : at + len(part)] += part * (1 + rng.normal(scale=_UNEVEN))
    loudness = rng.uniform(_SOFTEST, _LOUDEST)
    played: Samples = sound / np.abs(sound).max() * loudness
    return played


def _tone(hertz: float, partials: tuple[float, ...], fades: float) -> Samples:
    """(n,) of a tone that fades away."""
    time = np.arange(round(4 * fades * RATE)) / RATE
    waves = [
        strength * np.sin(2 * np.pi * hertz * number * time)
        for number, strength in enumerate(partials, 1)
        if hertz * number < RATE / 2
    ]
    envelope = np.minimum(time / _ATTACK, 1) * np.exp(-time / fades)
    tone: Samples = envelope * np.sum(waves, axis=0)
    return tone


def _wav(samples: Samples) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setparams((1, 1, RATE, len(samples), "NONE", ""))
        written.writeframes(np.rint(samples * 127 + 128).astype(np.uint8).tobytes())
    return file.getvalue()
