"""Textures of the items: how much of an item's second tone, 0..1, is at a point of it.

Striped, dotted and checked items show about as much of the second tone, so that the colours of a
picture do not tell them apart.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float64]


def second_tone(texture: str, x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    """The share of the second tone at the points x, y; all in pixels: `pitch` is the pattern's
    period, `radius` the item's.
    """
    return _TEXTURES[texture](x, y, pitch, radius)


def _plain(x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    return np.zeros_like(x)


def _striped(x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    return _smooth(pitch / 4 - _to_line(y, pitch))


def _dotted(x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    wide = pitch * 1.1
    return _smooth(wide * 0.36 - np.hypot(_to_line(x, wide), _to_line(y, wide)))


def _checked(x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    wide = pitch * 1.5  # fields have to be wider than stripes to survive in 32 pixels
    across, down = wide / 4 - _to_line(x, wide), wide / 4 - _to_line(y, wide)
    return _smooth(np.sign(across * down) * np.minimum(np.abs(across), np.abs(down)))


def _faded(x: Plane, y: Plane, pitch: Plane, radius: Plane) -> Plane:
    return np.clip(0.5 + y / (2 * radius), 0, 1)


def _to_line(position: Plane, pitch: Plane) -> Plane:
    """Distance to the nearest of the lines that stand at every whole multiple of the pitch."""
    return np.abs((position / pitch + 0.5) % 1 - 0.5) * pitch


def _smooth(inside: Plane) -> Plane:
    """Turn a distance to an edge, in pixels, positive inside, into the part of the pixel that
    lies inside.
    """
    return np.clip(0.5 + inside, 0, 1)


_TEXTURES: dict[str, Callable[[Plane, Plane, Plane, Plane], Plane]] = {
    "plain": _plain,
    "striped": _striped,
    "dotted": _dotted,
    "checked": _checked,
    "faded": _faded,
}
