"""Heat over pictures: red speaks for, blue against, and nothing changes what is grey."""

import io

import numpy as np
from PIL import Image

from emberline.images.overlay import overlaid, side_by_side

GREY = np.full((8, 6, 1), 100, np.uint8)


def test_what_speaks_for_it_is_red_what_against_blue_and_the_rest_grey() -> None:
    heat = np.zeros((8, 6), np.float32)
    heat[1, 2], heat[5, 3] = 2.0, -2.0
    drawn = overlaid(GREY, heat).astype(int)
    assert drawn[1, 2, 0] > 150 > 100 > drawn[1, 2, 2]
    assert drawn[5, 3, 2] > 150 > 100 > drawn[5, 3, 0]
    others = heat == 0
    assert (drawn[others] == 100).all()


def test_a_picture_that_nothing_matters_in_stays_grey() -> None:
    assert (overlaid(GREY, np.zeros((8, 6), np.float32)) == 100).all()


def test_the_file_has_the_picture_itself_on_its_left() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (8, 6, 3)).astype(np.uint8)
    file = Image.open(io.BytesIO(side_by_side(colours, np.ones((8, 6), np.float32))))
    assert file.size == (2 * 6 * 32, 8 * 32)
    assert (np.asarray(file)[16::32, 16 : 6 * 32 : 32] == colours).all()
