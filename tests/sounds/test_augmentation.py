"""The random changes to spectrograms, each told apart by hand."""

import numpy as np
import pytest

from emberline.numeric import hashing
from emberline.sounds.augmentation import Changes, augment

RNG = np.random.default_rng(4)
PICTURES = RNG.integers(1, 256, (200, 12, 20, 1), dtype=np.uint8)
KEYS = hashing.mix(np.arange(200, dtype=np.uint64))


def changed(**changes: float) -> np.ndarray:
    return augment(PICTURES, KEYS, Changes(**changes))  # type: ignore[arg-type]


def test_without_changes_pictures_are_what_they_were() -> None:
    np.testing.assert_array_equal(changed(), PICTURES)


def test_every_move_in_time_comes_with_silence() -> None:
    moves = []
    for before, after in zip(PICTURES[..., 0], changed(shift=3)[..., 0], strict=True):
        for move in range(-3, 4):
            expected = np.zeros_like(before)
            expected[:, max(0, -move) : 20 - max(0, move)] = before[
                :, max(0, move) : 20 - max(0, -move)
            ]
            if np.array_equal(expected, after):
                moves.append(move)
    assert len(moves) == 200 and set(moves) == set(range(-3, 4))


def test_every_move_in_frequency_is_that_of_all_columns_and_comes_with_silence() -> None:
    moves = []
    for before, after in zip(PICTURES[..., 0], changed(band_shift=2)[..., 0], strict=True):
        for move in range(-2, 3):
            expected = np.zeros_like(before)
            expected[max(0, -move) : 12 - max(0, move)] = before[max(0, move) : 12 - max(0, -move)]
            if np.array_equal(expected, after):
                moves.append(move)
    assert len(moves) == 200 and set(moves) == set(range(-2, 3))


@pytest.mark.parametrize(("which", "axis"), [("time_mask", 2), ("band_mask", 1)])
def test_a_mask_is_one_span_of_up_to_so_many_at_the_mean_level(which: str, axis: int) -> None:
    found = changed(**{which: 4})
    is_masked = (found != PICTURES)[..., 0].any(axis=3 - axis)
    lengths, places = set(), set()
    for number, row in enumerate(is_masked):
        places_of = np.flatnonzero(row)
        lengths.add(len(places_of))
        if len(places_of):
            places |= set(places_of.tolist())
            assert np.ptp(places_of) == len(places_of) - 1
            blotted = np.take(found[number, ..., 0], places_of, axis=axis - 1)
            assert (blotted == round(PICTURES[number].mean())).all()
    assert lengths == {0, 1, 2, 3, 4}
    assert places == set(range(PICTURES.shape[axis]))


def test_gain_moves_all_levels_by_as_much_and_leaves_the_floor() -> None:
    pictures = np.tile(np.array([0, 100, 150], np.uint8), (200, 4, 2))[..., None]
    found = augment(pictures, KEYS, Changes(gain=8.0, of=80.0)).astype(int)
    assert (found[:, :, 0] == 0).all()
    gains = found[:, 0, 1, 0] - 100
    assert (found[:, :, [2, 5]] - 150 == gains[:, None, None, None]).all()
    assert gains.min() < -20 and gains.max() > 20 and np.abs(gains).max() <= 26


def test_a_picture_changes_by_its_key_alone_whoever_is_beside_it() -> None:
    changes = Changes(shift=3, time_mask=4, band_mask=3, gain=6.0, band_shift=2)
    whole = augment(PICTURES, KEYS, changes)
    np.testing.assert_array_equal(augment(PICTURES[70:90], KEYS[70:90], changes), whole[70:90])
    assert (augment(PICTURES, KEYS + np.uint64(1), changes) != whole).any()
