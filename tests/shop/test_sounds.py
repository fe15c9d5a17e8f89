"""Sounds of the made-up items: their pitch and rhythm can be heard, and titles keep the pitch to
themselves.
"""

import io
import wave

import numpy as np
import pytest

from emberline.shop import sounds
from emberline.shop.catalogue import Catalogue, make_catalogue


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(120, seed=7, words=sounds.words)


@pytest.fixture(scope="module")
def played(catalogue: Catalogue) -> list[bytes]:
    return sounds.play(catalogue)


def samples(content: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(content)) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        return (np.frombuffer(file.readframes(file.getnframes()), np.uint8) - 128.0) / 127


def test_sounds_are_a_function_of_the_catalogue(catalogue: Catalogue, played: list[bytes]) -> None:
    assert played == sounds.play(catalogue)
    assert len(set(played)) == len(catalogue)
    assert all(len(samples(content)) == 16_000 for content in played)


def test_the_lowest_partial_of_a_flute_is_the_items_pitch(
    catalogue: Catalogue, played: list[bytes]
) -> None:
    flutes = np.flatnonzero(catalogue.colour == list(sounds.INSTRUMENTS).index("flute"))
    assert len(flutes) > 5
    for item in flutes:
        spectrum = np.abs(np.fft.rfft(samples(played[item])))
        hertz = spectrum.argmax() / sounds.SECONDS
        assert hertz == pytest.approx(sounds.PITCHES[catalogue.texture[item]], rel=0.12)


def test_a_roll_has_more_beginnings_than_a_march_of_its_tempo(
    catalogue: Catalogue, played: list[bytes]
) -> None:
    def beginnings(rhythm: str) -> float:
        chosen = catalogue.shape == list(sounds.RHYTHMS).index(rhythm)
        counts = []
        for item in np.flatnonzero(chosen & (catalogue.texture > 0)):
            loudness = np.square(samples(played[item])).reshape(-1, 200).mean(axis=1)
            counts.append((np.diff(loudness) > 0.3 * loudness.max()).sum())
        return float(np.mean(counts))

    assert beginnings("roll") > 2 * beginnings("march")


def test_titles_say_tempo_instrument_and_rhythm(catalogue: Catalogue) -> None:
    for item, title in enumerate(catalogue.titles):
        tempo, instrument, rhythm = title.replace(",", "").lower().split()[:3]
        assert tempo == list(sounds.TEMPOS)[catalogue.size[item]]
        assert instrument == list(sounds.INSTRUMENTS)[catalogue.colour[item]]
        assert rhythm == list(sounds.RHYTHMS)[catalogue.shape[item]]
