"""The shapes' outlines, against geometry from school."""

import numpy as np
import pytest

from emberline.shop.catalogue import SHAPES
from emberline.shop.outlines import signed_distance

_STEP = 0.005
_X, _Y = np.meshgrid(np.arange(-2, 2, _STEP), np.arange(-2, 2, _STEP))

AREAS = {
    "circle": np.pi * 0.95**2,
    "square": 1.7**2,
    "triangle": 3 * np.sqrt(3) / 4 * 1.3**2,
    "ring": np.pi * (1.10**2 - 0.46**2),
    "star": 5 * 1.3 * 0.58 * np.sin(np.pi / 5),
    "cross": 2 * 2.3 * 0.8 - 0.8**2,
    "diamond": 2 * 0.85 * 1.4,
}


@pytest.mark.parametrize("shape", AREAS)
def test_a_shape_has_the_area_of_its_formula(shape: str) -> None:
    assert (signed_distance(shape, _X, _Y) < 0).mean() * 16 == pytest.approx(AREAS[shape], rel=0.01)


def test_shapes_of_one_size_cover_similar_areas() -> None:
    areas = [(signed_distance(shape, _X, _Y) < 0).mean() for shape in SHAPES]
    assert max(areas) < 1.5 * min(areas)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_step_away_from_a_shape_is_a_step_in_distance(shape: str) -> None:
    down, across = np.gradient(signed_distance(shape, _X, _Y), _STEP)
    slope = np.hypot(down, across)[1:-1, 1:-1]
    assert np.median(slope) == pytest.approx(1, abs=1e-3)
    assert np.quantile(slope, 0.999) < 1.01


def test_hearts_and_triangles_stand_upright() -> None:
    right, above_and_below = np.full(2, 0.6), np.array([-0.7, 0.7])  # y points down
    assert (signed_distance("triangle", right, above_and_below) < 0).tolist() == [False, True]
    assert (signed_distance("heart", right, above_and_below) < 0).tolist() == [True, False]
