"""Log-mel spectrograms beside librosa's."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile

from emberline.sounds.spectrogram import Mel, filters, levels, log_mel

DIGITS = Mel(rate=8000, window=256, hop=128, bands=40, decibels=80.0)


def by_librosa(samples: np.ndarray, mel: Mel) -> np.ndarray:
    """(bands, frames) decibels."""
    power = librosa.feature.melspectrogram(
        y=samples,
        sr=mel.rate,
        n_fft=mel.window,
        hop_length=mel.hop,
        n_mels=mel.bands,
        pad_mode="constant",
    )
    return np.asarray(librosa.power_to_db(power, top_db=None))


def test_a_hundred_recordings_are_as_librosa_has_them(shared_data: Path) -> None:
    files = sorted((shared_data / "spoken-digits").glob("*.wav"))[::30]
    assert len(files) == 100
    for file in files:
        samples, _ = soundfile.read(file)
        found = log_mel(samples[None], DIGITS)[0]
        np.testing.assert_allclose(found, by_librosa(samples, DIGITS), atol=1e-4)


@pytest.mark.parametrize(
    "mel",
    [
        Mel(16_000, 512, 160, 64, 80.0),
        Mel(22_050, 2048, 512, 128, 80.0),
        Mel(1600, 64, 16, 10, 80.0),
    ],
)
def test_noise_at_other_sizes_is_as_librosa_has_it(mel: Mel) -> None:
    noise = np.random.default_rng(3).normal(size=mel.rate)
    np.testing.assert_allclose(log_mel(noise[None], mel)[0], by_librosa(noise, mel), atol=1e-4)


def test_filters_are_librosas() -> None:
    expected = librosa.filters.mel(sr=44_100, n_fft=1024, n_mels=80)
    np.testing.assert_allclose(filters(44_100, 1024, 80), expected, atol=1e-8)


def tone(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(8000) / 8000).astype(np.float32)


def test_a_higher_tone_is_nearer_to_the_top() -> None:
    low, high = (levels(tone(hertz)[None], DIGITS)[0] for hertz in (300, 2000))
    assert high.mean(axis=1).argmax() < low.mean(axis=1).argmax()


def test_the_loudest_is_white_and_what_is_eighty_decibels_below_black() -> None:
    sound = np.concatenate([tone(1000), tone(1000) * 1e-2, np.zeros(8000, np.float32)])
    found = levels(sound[None].astype(np.float32), DIGITS)[0]
    assert found.max() == 255 and found[:, -1].max() == 0
    # 40 of the 80 decibels quieter
    assert found[:, 90].max() == pytest.approx(found[:, 30].max() - 255 / 2, abs=1)


def test_sounds_do_not_change_each_other() -> None:
    sounds = np.stack([tone(200 * n + 100) * (n + 1) / 9 for n in range(9)])
    alone = np.concatenate([levels(sound[None], DIGITS) for sound in sounds])
    np.testing.assert_array_equal(levels(sounds, DIGITS), alone)
