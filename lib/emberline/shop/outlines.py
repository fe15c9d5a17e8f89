"""Outlines of the shapes as signed distances: negative inside, in units of the shape's radius; x
points right, y points down.

Distances are exact along straight edges and close enough at corners for anti-aliasing. Shapes of
one size cover similar areas, so that counting coloured pixels does not tell them apart. The heart
is Inigo Quilez's ("2D distance functions").
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


def signed_distance(shape: str, x: Plane, y: Plane) -> Plane:
    """Distance of the points to the outline of the named shape of radius 1 around the origin;
    any array shape, kept.
    """
    return _OUTLINES[shape](x, y)


def _circle(x: Plane, y: Plane) -> Plane:
    return np.hypot(x, y) - 0.95


def _square(x: Plane, y: Plane) -> Plane:
    return np.maximum(np.abs(x), np.abs(y)) - 0.85


def _triangle(x: Plane, y: Plane) -> Plane:
    return _star_of(3, 1.3, 0.65, x, y - 0.15)


def _ring(x: Plane, y: Plane) -> Plane:
    return np.abs(np.hypot(x, y) - 0.78) - 0.32


def _star(x: Plane, y: Plane) -> Plane:
    return _star_of(5, 1.3, 0.58, x, y)


def _cross(x: Plane, y: Plane) -> Plane:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 1.15, np.minimum(x, y) - 0.4)


def _heart(x: Plane, y: Plane) -> Plane:
    """Mirrored half: a lobe above, a straight flank below; the formula's heart has its point in
    the origin and is 1.1 high.
    """
    scale = 1.85
    x, y = np.abs(x) / scale, 0.55 - y / scale
    lobe = np.hypot(x - 0.25, y - 0.75) - math.sqrt(2) / 4
    foot = np.maximum(x + y, 0) / 2
    flank = np.minimum(np.hypot(x, y - 1), np.hypot(x - foot, y - foot)) * np.sign(x - y)
    distance: Plane = np.where(x + y > 1, lobe, flank) * scale
    return distance


def _diamond(x: Plane, y: Plane) -> Plane:
    half_width, half_height = 0.85, 1.4
    across: Plane = np.abs(x) / half_width + np.abs(y) / half_height - 1
    return across / math.hypot(1 / half_width, 1 / half_height)


def _star_of(points: int, outer: float, inner: float, x: Plane, y: Plane) -> Plane:
    """Fold the plane into half of one point, then measure to the edge from the tip (outer, 0)
    to the notch at radius `inner`.
    """
    half = math.pi / points
    angle = np.abs((np.arctan2(x, -y) + half) % (2 * half) - half)
    edge_x, edge_y = inner * math.cos(half) - outer, inner * math.sin(half)
    radius = np.hypot(x, y)
    off_edge: Plane = (radius * np.cos(angle) - outer) * edge_y - radius * np.sin(angle) * edge_x
    return off_edge / math.hypot(edge_x, edge_y)


_OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "star": _star,
    "cross": _cross,
    "heart": _heart,
    "diamond": _diamond,
}
