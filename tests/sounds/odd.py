"""Forty odd files: what is wrong with each, or that nothing is."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile

TONE = (0.5 * np.sin(np.arange(8000) / 4)).astype(np.float32)
TRUNCATED = "truncated: less is there than its header says"
NO_SOUND = "no sound in a format that libsndfile reads"
NO_NUMBERS = "samples that are not finite numbers"
SILENT = "silent: nothing is louder than -80 dB of full scale"
TOO_LONG = "longer than sounds.max_seconds = 60"
RATE = "a sampling rate outside 1,000 to 768,000 Hz"


def encoded(
    samples: np.ndarray, rate: int = 8000, kind: str = "WAV", subtype: str | None = None
) -> bytes:
    """A file of a kind, by libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def wav(
    data: bytes,
    *,
    said: int | None = None,
    rate: int = 8000,
    channels: int = 1,
    bits: int = 16,
    code: int = 1,
) -> bytes:
    """A WAV file by hand, whose header may say something else than what is there."""
    said = len(data) if said is None else said
    size = bits // 8 * channels
    head = struct.pack("<IHHII", 16, code, channels, rate, rate * size & 0xFFFFFFFF)
    head += struct.pack("<HH", size & 0xFFFF, bits)
    whole = b"RIFF" + struct.pack("<I", min(said + 36, 0xFFFFFFFF)) + b"WAVEfmt " + head
    return whole + b"data" + struct.pack("<I", said) + data


def _usable() -> Iterator[tuple[str, bytes]]:
    stereo, six = np.stack([TONE, TONE / 2], axis=1), np.stack([TONE] * 6, axis=1)
    integers = (TONE * 30_000).astype("<i2").tobytes()
    yield "plain.wav", encoded(TONE)
    yield "8-bit.wav", encoded(TONE, subtype="PCM_U8")
    yield "24-bit.wav", encoded(TONE, subtype="PCM_24")
    yield "32-bit.wav", encoded(TONE, subtype="PCM_32")
    yield "float.wav", encoded(TONE, subtype="FLOAT")
    yield "double.wav", encoded(TONE, subtype="DOUBLE")
    yield "mu-law.wav", encoded(TONE, subtype="ULAW")
    yield "stereo.wav", encoded(stereo)
    yield "six-channels.wav", encoded(six)
    yield "192-khz.wav", encoded(np.tile(TONE, 24), 192_000)
    yield "44-khz.flac", encoded(np.tile(TONE, 5), 44_100, "FLAC")
    yield "plain.ogg", encoded(np.tile(TONE, 2), 16_000, "OGG", "VORBIS")
    yield "plain.mp3", encoded(np.tile(TONE, 2), 16_000, "MP3", "MPEG_LAYER_III")
    yield "flac-called.wav", encoded(TONE, kind="FLAC")
    yield "wav-called.mp3", encoded(TONE)
    yield "aiff-called.flac", encoded(TONE, kind="AIFF")
    yield "length-unknown-as-streams-say.wav", wav(integers, said=0xFFFFFFFF)
    yield "junk-after-the-sound.wav", encoded(TONE) + b"junk" * 100
    yield "header-says-less.wav", wav(integers, said=8000)
    yield "one-millisecond.wav", encoded(TONE[:8])
    yield "louder-than-full-scale.wav", encoded(TONE * 100, subtype="FLOAT")
    yield "with-an-offset.wav", encoded(TONE + 0.4, subtype="FLOAT")


def _unusable() -> Iterator[tuple[str, bytes, str]]:
    integers = (TONE * 30_000).astype("<i2").tobytes()
    flac, ogg = encoded(TONE, kind="FLAC"), encoded(TONE, 16_000, "OGG", "VORBIS")
    mp3 = encoded(np.tile(TONE, 2), 16_000, "MP3", "MPEG_LAYER_III")
    hole = TONE.copy()
    hole[4000] = np.nan
    yield "empty.wav", b"", "empty file"
    yield "no-samples.wav", wav(b""), "no samples"
    yield "header-only.wav", wav(integers)[:30], "damaged or truncated: Error in WAV file"
    yield "truncated.wav", encoded(TONE)[:5000], TRUNCATED
    yield "lie-of-ten-times.wav", wav(integers, said=160_000), TRUNCATED
    yield "lie-of-a-gigabyte.wav", wav(integers, said=1 << 30), TRUNCATED
    yield "truncated.flac", flac[: len(flac) // 2], "damaged or truncated: flac decoder lost sync"
    yield "truncated.ogg", ogg[:-100], TRUNCATED
    yield "truncated.mp3", mp3[: len(mp3) // 2], TRUNCATED
    yield "truncated.aiff", encoded(TONE, kind="AIFF")[:-50], TRUNCATED
    yield "nan.wav", encoded(hole, subtype="FLOAT"), NO_NUMBERS
    yield "infinite.wav", encoded(np.full(8000, np.inf, np.float32), subtype="FLOAT"), NO_NUMBERS
    yield "silent.wav", encoded(np.zeros(8000, np.float32)), SILENT
    yield "dither.wav", wav(b"\1\0\xff\xff" * 4000), SILENT
    yield "constant.wav", encoded(np.full(8000, 0.5, np.float32)), SILENT
    yield "an-hour-of-silence.wav", encoded(np.zeros(3600 * 1000, np.int16), 1000), TOO_LONG
    yield (
        "an-hour-of-silence.flac",
        encoded(np.zeros(3600 * 1000, np.int16), 1000, "FLAC"),
        TOO_LONG,
    )
    yield "no-channels.wav", wav(integers, channels=0), "damaged or truncated: Channel count"
    yield "2000-channels.wav", wav(integers, channels=2000), "damaged or truncated: Too many"
    yield "12-hz.wav", wav(integers[:200], rate=12), RATE
    yield "2-ghz.wav", wav(integers, rate=2_000_000_000), RATE
    yield "codec-from-nowhere.wav", wav(integers, code=0x4242), "damaged or truncated: "
    yield "picture.wav", b"\x89PNG\r\n\x1a\n" + bytes(500), "not a sound but a picture (PNG)"
    yield "page.wav", b"\n<!DOCTYPE html><html>Not found</html>", "not a sound but a web page"
    yield "pointer.wav", b"version https://git-lfs.github.com/spec/v1\n", "not a sound but a poi"
    yield "text.wav", b"hello " * 100, NO_SOUND
    yield "zeros.wav", bytes(5000), NO_SOUND
    yield "noise.mp3", np.random.default_rng(1).bytes(5000), ""


USABLE = dict(_usable())
UNUSABLE = {name: (content, reason) for name, content, reason in _unusable()}
