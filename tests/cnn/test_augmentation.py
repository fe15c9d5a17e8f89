"""Pictures change as pictures, spectrograms as spectrograms."""

import numpy as np

from emberline.cnn.augmentation import augmentation_of
from emberline.datasets.manifest import Manifest, ProducedBy
from emberline.numeric import hashing
from emberline.sections.cnn import InputConfig

HEARD = {"rate": 8000, "sound_seconds": 1.0, "window": 256, "hop": 128, "decibels": 40.0}
ROWS = np.random.default_rng(1).integers(1, 200, (64, 9, 12, 1), dtype=np.uint8)
KEYS = hashing.mix(np.arange(64, dtype=np.uint64))


def changed(info: dict[str, object], **settings: object) -> np.ndarray:
    made = ProducedBy("export-shards", "0" * 64, "20250101T000000-00000000", {})
    manifest = Manifest("shards_train", "table", [], 64, [], made, info=info)
    config = InputConfig.model_validate(settings)
    return augmentation_of(manifest, config)(ROWS, KEYS)


def test_pictures_are_mirrored_and_moved_up_and_down() -> None:
    mirrored = changed({}, flip=True)
    assert {True, False} == {
        bool((after == before[:, ::-1]).all()) for before, after in zip(ROWS, mirrored, strict=True)
    }
    assert (changed({}, shift=2)[:, 0] != ROWS[:, 0]).any()


def test_spectrograms_are_moved_in_time_alone_and_silence_comes_in() -> None:
    moved = changed(HEARD, shift=2)
    is_new = moved[:, :, :, 0] == 0
    assert is_new.any(axis=(1, 2)).sum() > 30
    # every band of a spectrogram by as much
    assert (is_new == is_new[:, :1]).all()


def test_gain_is_in_decibels_of_the_shards_range() -> None:
    louder = changed(HEARD, gain=4.0).astype(int) - ROWS
    assert 20 <= np.abs(louder).max() <= round(4 / 40 * 255)


def test_masks_blot_out_columns_and_bands() -> None:
    found = changed(HEARD, time_mask=3, band_mask=2)
    assert (found != ROWS).any(axis=(1, 2, 3)).mean() > 0.7
