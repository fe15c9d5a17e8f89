"""Pictures of the made-up items: they show what the titles say, and not to a model that only
counts.
"""

import colorsys
import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from emberline.shop.catalogue import HUES, SHAPES, TEXTURES, Catalogue, make_catalogue
from emberline.shop.pictures import draw, encode_png, item_pixels

NUM_ITEMS = 600
Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return make_catalogue(NUM_ITEMS, seed=7)


@pytest.fixture(scope="module")
def pictures(catalogue: Catalogue) -> Pixels:
    return draw(catalogue)


def _vivid(pictures: Pixels) -> NDArray[np.bool_]:
    """Which pixels are more colourful than any background."""
    vivid: NDArray[np.bool_] = np.ptp(pictures, axis=-1) > 90
    return vivid


def test_pictures_are_a_function_of_the_catalogue(catalogue: Catalogue, pictures: Pixels) -> None:
    assert pictures.shape == (NUM_ITEMS, 32, 32, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, draw(catalogue))
    assert not np.array_equal(pictures, draw(make_catalogue(NUM_ITEMS, seed=8)))


def test_items_alike_in_every_visible_trait_have_pictures_of_their_own(
    catalogue: Catalogue, pictures: Pixels
) -> None:
    looks = np.stack([catalogue.shape, catalogue.texture, catalogue.colour, catalogue.size])
    same = (looks[:, :, None] == looks[:, None, :]).all(axis=0)
    twins = np.argwhere(np.triu(same, k=1))
    assert len(twins) > 10
    for left, right in twins:
        assert np.abs(pictures[left].astype(int) - pictures[right]).mean() > 5


def test_what_is_said_to_show_the_item_is_where_its_colour_is(
    catalogue: Catalogue, pictures: Pixels
) -> None:
    shown, vivid = item_pixels(catalogue), _vivid(pictures)
    assert (vivid & ~shown).sum() < 0.001 * vivid.sum()
    plain = catalogue.texture == TEXTURES.index("plain")
    assert (vivid & shown)[plain].sum() > 0.5 * shown[plain].sum()
    assert 0.1 < shown.mean() < 0.4


def test_png_keeps_every_pixel(pictures: Pixels) -> None:
    files = encode_png(pictures[:20])
    assert all(file.startswith(b"\x89PNG") for file in files)
    assert np.array_equal(
        [np.asarray(Image.open(io.BytesIO(file))) for file in files], pictures[:20]
    )


def test_a_plain_item_shows_the_colour_of_its_title(catalogue: Catalogue, pictures: Pixels) -> None:
    hues = np.array(list(HUES.values()))
    for index in np.flatnonzero(catalogue.texture == TEXTURES.index("plain")):
        picture = pictures[index]
        item = picture[_vivid(picture)].mean(axis=0) / 255
        gap = np.abs((360 * colorsys.rgb_to_hsv(*item)[0] - hues + 180) % 360 - 180)
        assert gap[catalogue.colour[index]] < 25, catalogue.titles[index]


def test_larger_items_cover_more_of_their_picture(catalogue: Catalogue, pictures: Pixels) -> None:
    plain_circle = (catalogue.texture == TEXTURES.index("plain")) & (
        catalogue.shape == SHAPES.index("circle")
    )
    vivid = _vivid(pictures).mean(axis=(1, 2))
    small, medium, large = (vivid[plain_circle & (catalogue.size == size)] for size in range(3))
    assert small.max() < medium.min()
    assert medium.max() < large.min()


def test_items_stay_within_their_pictures(pictures: Pixels) -> None:
    border = np.ones((32, 32), dtype=bool)
    border[1:-1, 1:-1] = False
    vivid = _vivid(pictures)
    assert vivid[:, border].mean() < 0.02
    assert vivid[:, ~border].mean() > 0.1


def test_neither_counting_colours_nor_weighing_pixels_reads_shape_or_texture(
    catalogue: Catalogue, pictures: Pixels
) -> None:
    for features in (_colour_histograms(pictures), pictures.reshape(NUM_ITEMS, -1) / 255):
        assert _ridge_accuracy(features, catalogue.shape, len(SHAPES)) < 0.33  # chance: 0.125
        assert _ridge_accuracy(features, catalogue.texture, len(TEXTURES)) < 0.45  # chance: 0.2


def test_counting_colours_does_read_the_colour(catalogue: Catalogue, pictures: Pixels) -> None:
    assert _ridge_accuracy(_colour_histograms(pictures), catalogue.colour, len(HUES)) > 0.8


def _colour_histograms(pictures: Pixels) -> NDArray[np.float64]:
    """(num_pictures, 64): shares of pixels by four steps of red, green and blue."""
    bins = (pictures // 64).astype(np.int64) @ np.array([16, 4, 1])
    return np.stack([np.bincount(picture.ravel(), minlength=64) for picture in bins]) / 1024


def _ridge_accuracy(features: NDArray[np.float64], labels: NDArray[np.int64], kinds: int) -> float:
    """The best test accuracy, over several strengths of regularisation, of a linear classifier
    fitted to four fifths.
    """
    split = NUM_ITEMS * 4 // 5
    inputs = features - features[:split].mean(axis=0)
    targets = np.eye(kinds)[labels[:split]]
    kernel = inputs[:split] @ inputs[:split].T
    weights = [
        np.linalg.solve(kernel + reg * np.eye(split), targets - targets.mean(axis=0))
        for reg in (0.01, 0.1, 1, 10, 100, 1000)
    ]
    guesses = [
        (inputs[split:] @ (inputs[:split].T @ weight) + targets.mean(axis=0)).argmax(axis=1)
        for weight in weights
    ]
    return max(float((guess == labels[split:]).mean()) for guess in guesses)
