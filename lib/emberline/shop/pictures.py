"""Pictures of a catalogue's items, drawn so that looking helps and counting pixels does not.

Shape, texture, colour and size can be recognised. Place, turn, and which of item and background is
the brighter are up to chance: no pixel by itself, and no histogram of colours, says much about a
shape or a texture.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from emberline.shop.catalogue import SHAPES, TEXTURES, Catalogue
from emberline.shop.outlines import signed_distance
from emberline.shop.scenes import Scenes, make_scenes
from emberline.shop.streams import stream
from emberline.shop.textures import second_tone

SIDE = 32  # pixels

_NOISE = 0.015  # of full brightness, standard deviation
_VIGNETTE = 0.10  # of full brightness, from the picture's middle to its corners
_SHADOW = 0.35  # of the background's brightness
_RIM = 0.45  # of the way to white or black

Plane = NDArray[np.float64]


def draw(catalogue: Catalogue) -> NDArray[np.uint8]:
    """(num_items, 32, 32, 3) RGB, one picture per item in the catalogue's order; a pure
    function of the catalogue.
    """
    scenes = make_scenes(catalogue, SIDE, stream(catalogue.seed, "scenes"))
    distance = _distances(catalogue, scenes, offset=np.zeros_like(scenes.shadow))
    shade = _cover(_distances(catalogue, scenes, offset=scenes.shadow), softness=3.0)
    canvas = _backdrop(scenes) * (1 - _SHADOW * shade[..., None])
    canvas = _mix(canvas, _bodies(catalogue, scenes, distance), _cover(distance, softness=1.0))
    canvas += _NOISE * stream(catalogue.seed, "grain").standard_normal(canvas.shape)
    return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)


def item_pixels(catalogue: Catalogue) -> NDArray[np.bool_]:
    """(num_items, 32, 32): which pixels show the item, by which it is liked; all others are
    background, which is up to chance.
    """
    scenes = make_scenes(catalogue, SIDE, stream(catalogue.seed, "scenes"))
    distance = _distances(catalogue, scenes, offset=np.zeros_like(scenes.shadow))
    return _cover(distance, softness=1.0) > 0


def encode_png(pictures: NDArray[np.uint8]) -> list[bytes]:
    """One PNG file per picture of (num_pictures, height, width, 3)."""
    return [_png(picture) for picture in pictures]


def _png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return file.getvalue()


def _distances(catalogue: Catalogue, scenes: Scenes, offset: Plane) -> Plane:
    """(n, side, side): pixels to the item's outline, negative inside, the item moved by
    `offset`, (n, 2) x and y.
    """
    x, y = _axes(scenes.centre + offset, scenes.turn)
    radius = scenes.radius[:, None, None]
    distance = np.empty_like(x)
    for index, shape in enumerate(SHAPES):
        rows = catalogue.shape == index
        distance[rows] = signed_distance(shape, (x / radius)[rows], (y / radius)[rows])
    return distance * radius


def _bodies(catalogue: Catalogue, scenes: Scenes, distance: Plane) -> Plane:
    """(n, side, side, 3): both tones of each item in its pattern, with a rim against the
    background, everywhere.
    """
    pattern = _patterns(catalogue, scenes)
    body = _mix(_flat(catalogue.rgb), _flat(scenes.second_colour), pattern)
    edge = _cover(-1 - distance, softness=1.0)
    return _mix(body, _flat(scenes.rim), _RIM * edge)


def _patterns(catalogue: Catalogue, scenes: Scenes) -> Plane:
    """(n, side, side): the share of the second tone."""
    x, y = _axes(scenes.centre + scenes.pattern_shift, scenes.turn)
    pitch, radius = scenes.pitch[:, None, None], scenes.radius[:, None, None]
    pattern = np.empty_like(x)
    for index, texture in enumerate(TEXTURES):
        rows = catalogue.texture == index
        pattern[rows] = second_tone(texture, x[rows], y[rows], pitch[rows], radius[rows])
    return pattern


def _backdrop(scenes: Scenes) -> Plane:
    """(n, side, side, 3): the background's colour, a little darker towards the corners."""
    across = np.linspace(-1, 1, SIDE) ** 2
    corner = (across[:, None] + across[None, :]) / 2
    return _flat(scenes.background) - _VIGNETTE * corner[None, :, :, None]


def _axes(centre: Plane, turn: Plane) -> tuple[Plane, Plane]:
    """Each pixel's x and y, both (n, side, side) in pixels, seen from `centre` and turned
    clockwise by `turn` radians.
    """
    pixels = np.arange(SIDE)
    x = pixels[None, None, :] - centre[:, 0, None, None]
    y = pixels[None, :, None] - centre[:, 1, None, None]
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _cover(distance: Plane, softness: float) -> Plane:
    """The part, 0..1, of each pixel inside an outline; the edge is `softness` pixels wide."""
    return np.clip(0.5 - distance / softness, 0, 1)


def _mix(below: Plane, above: Plane, share: Plane) -> Plane:
    """`below` where `share` (n, side, side) is 0, `above` where it is 1."""
    return below + (above - below) * share[..., None]


def _flat(colour: Plane) -> Plane:
    """(n, 3) colours as (n, 1, 1, 3), to be spread over pictures."""
    return colour[:, None, None, :]
