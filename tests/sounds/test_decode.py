"""Sounds by their bytes: samples of one rate and length, or a reason why not."""

import tracemalloc

import numpy as np
import pytest
import soundfile
from tests.sounds.odd import SILENT, TONE, TOO_LONG, UNUSABLE, USABLE, encoded

from emberline.numeric.arrays import Float32
from emberline.sounds.decode import Clip, Keep, UnusableSoundError, decode

CLIP = Clip(rate=8000, seconds=1.0, keep="start", max_seconds=60)


def samples(content: bytes, clip: Clip = CLIP) -> Float32:
    found = decode(content, clip)
    assert len(found) <= clip.samples and found.dtype == np.float32
    return np.pad(found, (0, clip.samples - len(found)))  # silence


def reason(content: bytes, clip: Clip = CLIP) -> str:
    with pytest.raises(UnusableSoundError) as raised:
        samples(content, clip)
    return str(raised.value)


def test_there_are_forty_odd_files_and_more() -> None:
    assert len(USABLE) + len(UNUSABLE) >= 40


@pytest.mark.parametrize("name", USABLE)
def test_a_usable_sound_of_any_kind_is_its_tone(name: str) -> None:
    found = samples(USABLE[name])
    assert found.shape == (8000,) and found.dtype == np.float32
    assert np.abs(found).max() > 0.1 and np.isfinite(found).all()


@pytest.mark.parametrize("name", ["24-bit.wav", "float.wav", "six-channels.wav", "flac-called.wav"])
def test_a_sound_of_the_wanted_rate_is_its_very_samples(name: str) -> None:
    np.testing.assert_allclose(samples(USABLE[name]), TONE, atol=1 / 32_000)


@pytest.mark.parametrize("name", UNUSABLE)
def test_an_unusable_sound_has_its_reason(name: str) -> None:
    content, expected = UNUSABLE[name]
    assert reason(content).startswith(expected)


def test_reasons_are_the_same_for_every_file_with_a_fault() -> None:
    assert all("0x" not in reason(content) for content, _ in UNUSABLE.values())


def test_an_hour_is_refused_in_little_memory_and_before_it_is_decoded() -> None:
    content, _ = UNUSABLE["an-hour-of-silence.wav"]
    tracemalloc.start()
    with pytest.raises(UnusableSoundError, match="max_seconds"):
        decode(content, CLIP)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_long_sound_is_decoded_in_blocks() -> None:
    content = memoryview(encoded(np.stack([np.tile(TONE, 59)] * 4, axis=1)))  # 7.6 MB decoded
    tracemalloc.start()
    decode(content, CLIP)
    assert tracemalloc.get_traced_memory()[1] < 4_000_000
    tracemalloc.stop()


def test_a_file_mapped_into_memory_is_the_same_sound() -> None:
    long = np.tile(TONE, 50)
    content = encoded(long, 8000, "FLAC") + bytes(1 << 20)
    np.testing.assert_allclose(decode(memoryview(content), CLIP), TONE, atol=1 / 32_000)


def test_a_minute_and_a_bit_is_too_long_where_a_minute_is_allowed() -> None:
    assert reason(encoded(np.tile(TONE, 61))) == TOO_LONG


def test_channels_that_cancel_out_are_silent() -> None:
    assert reason(encoded(np.stack([TONE, -TONE], axis=1))) == SILENT


def at(second: float, of: float = 4.0) -> bytes:
    """A short tone in the middle of silence."""
    quiet = np.zeros(int(of * 8000), np.float32)
    first = int(second * 8000)
    quiet[first : first + 2000] = TONE[:2000]
    return encoded(quiet)


@pytest.mark.parametrize(("keep", "second"), [("start", 0.0), ("middle", 1.9), ("loudest", 3.1)])
def test_of_a_long_sound_that_part_is_kept(keep: Keep, second: float) -> None:
    found = samples(at(second), Clip(8000, 1.0, keep, 60))
    assert np.square(found).sum() == pytest.approx(np.square(TONE[:2000]).sum(), rel=1e-3)


def test_the_loudest_part_is_found_beyond_the_first_block() -> None:
    found = samples(at(44.0, of=50.0), Clip(8000, 1.0, "loudest", 60))
    assert np.square(found).sum() == pytest.approx(np.square(TONE[:2000]).sum(), rel=1e-3)


def test_silence_where_the_part_to_be_kept_is_says_what_to_change() -> None:
    assert reason(at(3.0)) == "silent in the part that is kept: change sounds.keep"


@pytest.mark.parametrize(("keep", "first"), [("start", 0), ("middle", 3000)])
def test_a_short_sound_is_filled_up_with_silence(keep: Keep, first: int) -> None:
    found = samples(encoded(TONE[:2000]), Clip(8000, 1.0, keep, 60))
    np.testing.assert_allclose(found[first : first + 2000], TONE[:2000], atol=1 / 32_000)
    assert not found[:first].any() and not found[first + 2000 :].any()


def test_a_tone_keeps_its_pitch_at_another_rate() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(44_100) / 44_100).astype(np.float32) / 2
    spectrum = np.abs(np.fft.rfft(samples(encoded(tone, 44_100), Clip(16_000, 1.0, "start", 60))))
    assert spectrum.argmax() == 1000  # hertz: a second has one place for each


def test_real_recordings_are_as_libsndfile_reads_them(shared_data: object) -> None:
    for path in sorted((shared_data / "spoken-digits").glob("*_speaker1_0[0-4].wav"))[:20]:  # type: ignore[operator]
        whole, _ = soundfile.read(path, dtype="float32")
        found = samples(path.read_bytes())
        np.testing.assert_array_equal(found[: len(whole)], whole[:8000])
