"""Scenes around the items: where each one lies in its picture, how it is turned, and on which
background.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberline.shop.catalogue import TEXTURES, Catalogue

Plane = NDArray[np.float64]

_RADII = np.array([8.0, 10.0, 12.0])  # pixels, by size
_REACH = 1.15  # of the radius; the tips of a large star may leave the picture
_TURN = np.radians(25)
_FINEST_PITCH, _COARSEST_PITCH = 5.2, 6.0  # pixels


@dataclass(frozen=True)
class Scenes:
    """What chance adds to each picture. Lengths are in pixels, angles in radians, colours RGB in
    0..1.

    radius, turn, pitch: (num_items,). centre, pattern_shift, shadow: (num_items, 2), x and y.
    background, second_colour: (num_items, 3). rim: (num_items, 1), the white or black that the
    item's rim leans to.
    """

    radius: Plane
    turn: Plane
    pitch: Plane
    centre: Plane
    pattern_shift: Plane
    shadow: Plane
    background: Plane
    second_colour: Plane
    rim: Plane


def make_scenes(catalogue: Catalogue, side: int, rng: np.random.Generator) -> Scenes:
    """One scene per item for pictures of `side` x `side` pixels."""
    count = len(catalogue)
    radius = _RADII[catalogue.size] * rng.uniform(0.95, 1.05, count)
    dark = rng.random(count) < 0.5
    pitch = rng.uniform(_FINEST_PITCH, _COARSEST_PITCH, count)
    return Scenes(
        radius=radius,
        turn=rng.uniform(-_TURN, _TURN, count),
        pitch=pitch,
        centre=_centres(radius, side, rng),
        pattern_shift=_pattern_shifts(catalogue, pitch, rng),
        shadow=np.stack([rng.choice([-1.6, 1.6], count), rng.uniform(1.0, 1.8, count)], axis=1),
        background=_backgrounds(dark, rng),
        second_colour=_second_colours(catalogue.rgb, rng),
        rim=np.where(dark, 1.0, 0.0)[:, None],
    )


def _centres(radius: Plane, side: int, rng: np.random.Generator) -> Plane:
    """(n, 2): anywhere that keeps the item within the picture."""
    middle = (side - 1) / 2
    slack = np.maximum(side / 2 - _REACH * radius, 0)
    return middle + slack[:, None] * rng.uniform(-1, 1, (len(radius), 2))


def _pattern_shifts(catalogue: Catalogue, pitch: Plane, rng: np.random.Generator) -> Plane:
    """(n, 2): where the pattern starts; a fade has one period only and stays centred."""
    reach: Plane = np.where(catalogue.texture == TEXTURES.index("faded"), 0, pitch / 2)
    return reach[:, None] * rng.uniform(-1, 1, (len(catalogue), 2))


def _backgrounds(dark: NDArray[np.bool_], rng: np.random.Generator) -> Plane:
    """(n, 3): a light or a dark grey with a tint of any hue."""
    grey = np.where(dark, rng.uniform(0.14, 0.30, len(dark)), rng.uniform(0.80, 0.93, len(dark)))
    return np.clip(grey[:, None] + rng.normal(scale=0.045, size=(len(dark), 3)), 0, 1)


def _second_colours(rgb: Plane, rng: np.random.Generator) -> Plane:
    """(n, 3): a pale or a deep tone of the item's colour, for its pattern."""
    pale, deep = 0.22 * rgb + 0.78, 0.32 * rgb
    return np.where(rng.random((len(rgb), 1)) < 0.5, pale, deep)
