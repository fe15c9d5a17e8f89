"""Pixels beside plain Python loops over pictures, rows and columns."""

from collections import Counter
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from emberline.images.pixels import (
    augment,
    channel_sums,
    directions,
    histograms,
    pixel_array,
    pixel_column,
    pooled,
    row_keys,
)

GAMMA, MASK = 0x9E3779B97F4A7C15, 2**64 - 1


def noise(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def split_mix(state: int) -> int:
    """SplitMix64's output for a state that has been advanced, in whole numbers of any size."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ state >> shift) * factor & MASK
    return state ^ state >> 31


def start_of(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch, 3]).generate_state(1, np.uint64)[0])


# --------------------------------------------------------------------------------------------------
# Arrow columns


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_a_binary_column_becomes_one_row_of_bytes_per_value(kind: pa.DataType) -> None:
    column = pa.array([b"abc", b"def", b"ghi", b"jkl"], kind)
    rows = [list(b"abc"), list(b"def"), list(b"ghi"), list(b"jkl")]
    assert pixel_array(column).tolist() == rows
    assert pixel_array(column.slice(1, 2)).tolist() == rows[1:3]
    assert pixel_array(column.slice(1).slice(2)).tolist() == rows[3:]


def test_pixels_are_not_copied() -> None:
    column = pa.array([b"abc", b"def", b"ghi"], pa.binary())
    address = pixel_array(column.slice(1)).__array_interface__["data"][0]
    assert address == column.buffers()[2].address + 3


def test_chunks_of_a_longer_column_start_where_they_start() -> None:
    column = pa.chunked_array([pa.array([b"ab", b"cd", b"ef"]).slice(1), pa.array([b"gh"])])
    assert [pixel_array(chunk).tolist() for chunk in column.chunks] == [
        [list(b"cd"), list(b"ef")],
        [list(b"gh")],
    ]
    assert pixel_array(column.combine_chunks()).tolist() == [list(b"cd"), list(b"ef"), list(b"gh")]


@pytest.mark.parametrize(
    "column",
    [pa.array([], pa.binary()), pa.array([b"abc"]).slice(1), pa.array([], pa.large_binary())],
)
def test_an_empty_column_has_no_rows(column: pa.Array) -> None:
    assert len(pixel_array(column)) == 0


# --------------------------------------------------------------------------------------------------
# keys


def test_keys_are_split_mix_of_the_row() -> None:
    rows = [0, 1, 2, 77, 2**40]
    expected = [split_mix((start_of(3, 9) + row * GAMMA) & MASK) for row in rows]
    assert row_keys(3, 9, np.array(rows, np.int64)).tolist() == expected


def test_keys_are_the_published_outputs_where_the_start_is_zero() -> None:
    """The row at which the state has come to gamma, as it does at the first draw from seed 0;
    its place is found modulo 2^64.
    """
    first = (1 - start_of(5, 2) * pow(GAMMA, -1, 2**64)) & MASK
    rows = (np.uint64(first) + np.arange(3, dtype=np.uint64)).view(np.int64)
    assert [hex(key) for key in row_keys(5, 2, rows).tolist()] == [
        "0xe220a8397b1dcdaf",
        "0x6e789e6aa1b965f4",
        "0x6c45d188009454f",
    ]


def test_a_rows_key_does_not_depend_on_the_rows_beside_it() -> None:
    whole = row_keys(1, 2, np.arange(100))
    order = np.random.default_rng(0).permutation(100)
    assert row_keys(1, 2, order).tolist() == whole[order].tolist()
    assert [row_keys(1, 2, np.array([row]))[0] for row in range(100)] == whole.tolist()
    assert row_keys(1, 2, np.arange(0)).tolist() == []


def test_seeds_epochs_and_rows_have_keys_of_their_own() -> None:
    keys = [row_keys(seed, epoch, np.arange(200)) for seed in range(4) for epoch in range(4)]
    assert len(set(np.concatenate(keys).tolist())) == 16 * 200


# --------------------------------------------------------------------------------------------------
# augmentation


def moved(picture: np.ndarray, mirrored: bool, down: int, right: int) -> np.ndarray:
    """Pixel by pixel: from `down` rows and `right` columns further on, the nearest that there
    is; mirrored before.
    """
    height, width, _ = picture.shape
    result = np.empty_like(picture)
    for row, column in product(range(height), range(width)):
        beside = width - 1 - column if mirrored else column
        result[row, column] = picture[
            min(max(row + down, 0), height - 1), min(max(beside + right, 0), width - 1)
        ]
    return result


def key_of(mirrored: bool, down: int, right: int, shift: int) -> int:
    """A key that asks for this move: bit 0 mirrors, what is above bits 8 and 32 moves."""
    keys = (
        mirrored | low << 8 | high << 32
        for low in range(2 * shift + 1)
        for high in range(2 * shift + 1)
    )
    places = (
        (key, (key >> 8) % (2 * shift + 1) - shift, (key >> 32) % (2 * shift + 1) - shift)
        for key in keys
    )
    return next(key for key, *place in places if place == [down, right])


@pytest.mark.parametrize("channels", [1, 3])
def test_every_picture_is_changed_as_its_own_key_says(channels: int) -> None:
    moves = list(product([False, True], range(-2, 3), range(-2, 3)))
    pictures = noise(len(moves), 5, 7, channels)
    keys = np.array([key_of(*move, shift=2) for move in moves], np.uint64)
    expected = [moved(picture, *move) for picture, move in zip(pictures, moves, strict=True)]
    np.testing.assert_array_equal(augment(pictures, keys, flip=True, shift=2), expected)


def test_without_flip_no_picture_is_mirrored() -> None:
    pictures = noise(4, 3, 3, 1)
    keys = np.array([key_of(True, down, 1, shift=1) for down in (-1, 0, 1, 1)], np.uint64)
    expected = [
        moved(picture, False, down, 1)
        for picture, down in zip(pictures, (-1, 0, 1, 1), strict=True)
    ]
    np.testing.assert_array_equal(augment(pictures, keys, flip=False, shift=1), expected)


def test_without_shift_every_other_picture_is_mirrored_and_none_moved() -> None:
    pictures = noise(1000, 2, 3, 1)
    changed = augment(pictures, row_keys(1, 1, np.arange(1000)), flip=True, shift=0)
    mirrored = (changed == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    assert np.all(mirrored | (changed == pictures).all(axis=(1, 2, 3)))
    assert 420 < mirrored.sum() < 580


def test_moves_reach_further_than_the_picture() -> None:
    picture = noise(1, 2, 2, 1)
    keys = np.array([key_of(False, 3, -3, shift=3)], np.uint64)
    assert augment(picture, keys, flip=False, shift=3).ravel().tolist() == [picture[0, 1, 0, 0]] * 4


def test_all_moves_are_about_equally_frequent() -> None:
    """A picture that holds its places' numbers tells in its middle where it has gone."""
    picture = np.arange(25, dtype=np.uint8).reshape(1, 5, 5, 1)
    count = 18_000
    changed = augment(
        np.repeat(picture, count, 0), row_keys(2, 0, np.arange(count)), flip=True, shift=1
    )
    seen = Counter(zip(changed[:, 2, 2, 0].tolist(), changed[:, 2, 3, 0].tolist(), strict=True))
    assert len(seen) == 18
    assert all(abs(times - 1000) < 5 * 1000**0.5 for times in seen.values())


def test_a_picture_changes_alike_in_any_batch() -> None:
    pictures, keys = noise(30, 4, 4, 3), row_keys(1, 1, np.arange(30))
    whole = augment(pictures, keys, flip=True, shift=2)
    halves = [
        augment(pictures[half], keys[half], flip=True, shift=2)
        for half in (slice(0, 11), slice(11, None))
    ]
    np.testing.assert_array_equal(np.concatenate(halves), whole)


def test_nothing_asked_for_changes_nothing() -> None:
    pictures = noise(3, 4, 4, 3)
    np.testing.assert_array_equal(
        augment(pictures, row_keys(1, 1, np.arange(3)), flip=False, shift=0), pictures
    )


# --------------------------------------------------------------------------------------------------
# features


@pytest.mark.parametrize(
    "shape", [(33, 17, 3), (1, 1000, 1), (4, 4, 3), (16, 16, 1), (31, 48, 3), (1, 1, 3)]
)
@pytest.mark.parametrize("side", [1, 4, 16])
def test_averages_are_those_of_the_smallest_rectangles_of_which_at_most_side_fit(
    shape: tuple[int, int, int], side: int
) -> None:
    pictures = noise(2, *shape)
    height, width, channels = shape
    down = next(size for size in range(1, height + 1) if size * side >= height)
    across = next(size for size in range(1, width + 1) if size * side >= width)
    expected = [
        [
            picture[top : top + down, left : left + across, channel].mean() / 255
            for top in range(0, height - down + 1, down)
            for left in range(0, width - across + 1, across)
            for channel in range(channels)
        ]
        for picture in pictures
    ]
    found = pooled(pictures, side)
    assert found.dtype == np.float32
    assert found.shape[1] <= side * side * channels
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("channels", "levels"), [(1, 4), (3, 4), (3, 3), (3, 1)])
def test_histograms_count_each_colour(channels: int, levels: int) -> None:
    pictures = noise(3, 5, 6, channels)
    pictures[2] = 255
    found = histograms(pictures, levels)
    assert found.shape == (3, levels**channels)
    for picture, shares in zip(pictures, found, strict=True):
        colours = Counter(
            tuple(value * levels // 256 for value in pixel)
            for pixel in picture.reshape(-1, channels).tolist()
        )
        places = {
            sum(level * levels**place for place, level in enumerate(colour)): n / 30
            for colour, n in colours.items()
        }
        assert {
            place: share for place, share in enumerate(shares.tolist()) if share
        } == pytest.approx(places)


def test_products_of_directions_are_correlations() -> None:
    rows = np.random.default_rng(1).random((5, 40)).astype(np.float32)
    found = directions(rows)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found @ found.T, np.corrcoef(rows), atol=1e-5)
    np.testing.assert_allclose(directions(3 * rows + 2), found, atol=1e-5)


@pytest.mark.parametrize("width", [1, 7, 768])
def test_a_constant_row_has_no_direction(width: int) -> None:
    rows = np.repeat((np.arange(256, dtype=np.float32) / 255)[:, None], width, axis=1)
    assert not directions(rows).any()


def test_a_column_of_pixels_is_null_where_a_picture_is_missing() -> None:
    pixels = noise(11, 6)
    there = np.arange(11) % 3 > 0
    column = pixel_column(pixels, there)
    column.validate(full=True)
    assert column.to_pylist() == [
        row.tobytes() if is_there else None for row, is_there in zip(pixels, there, strict=True)
    ]
    np.testing.assert_array_equal(
        pixel_array(pixel_column(pixels, np.ones(11, bool)).slice(2, 5)), pixels[2:7]
    )


def test_sums_of_channels_are_exact() -> None:
    white = np.full((2, 300 * 300 * 3), 255, np.uint8)
    totals, squares = channel_sums(white, 3)
    assert (
        totals.tolist() == [[255 * 90_000] * 3] * 2
        and squares.tolist() == [[255**2 * 90_000] * 3] * 2
    )
