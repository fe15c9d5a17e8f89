"""The catalogue of a made-up shop: what its items look like, what they are called, and what only
their buyers know of them.

A picture shows an item's shape, texture, colour and size, and its title all of these but the
texture. Its hidden traits and its popularity move its sales too; its category, its price and its
description tell a part of the hidden traits (`descriptions.py`). So each knows something that the
others do not, and a model which reads all of them perfectly still knows less of an item than a year
of its sales tells.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberline.shop.streams import stream
from emberline.shop.titles import titles

SHAPES = ("circle", "square", "triangle", "ring", "star", "cross", "heart", "diamond")
TEXTURES = ("plain", "striped", "dotted", "checked", "faded")
HUES = {
    "red": 0,
    "orange": 27,
    "yellow": 50,
    "lime": 85,
    "green": 135,
    "teal": 178,
    "blue": 216,
    "violet": 268,
    "pink": 325,
}
COLOURS = tuple(HUES)
SIZES = ("small", "medium", "large")
NUM_HIDDEN = 3

_HUE_JITTER = 5.0  # degrees, standard deviation
_ZIPF_EXPONENT = 0.75
_ZIPF_OFFSET = 5.0
# how far looks move popularity, next to a standard normal that they do not explain
_TRAIT_PULL = 0.3

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Catalogue:
    """All items, one entry each in every field; `shape`, `texture`, `colour` and `size` index the
    tuples of names above.

    rgb: (num_items, 3), 0..1, the item's own tone of its colour. hidden: (num_items, NUM_HIDDEN),
    standard normal.
    popularity: (num_items,), sums to 1.
    """

    seed: int
    item_ids: list[str]
    titles: list[str]
    shape: Indices
    texture: Indices
    colour: Indices
    size: Indices
    rgb: Floats
    hidden: Floats
    popularity: Floats

    def __len__(self) -> int:
        return len(self.item_ids)


def looks(shape: int, texture: int, colour: int, size: int) -> str:
    """What a title says of an item that is seen: everything but its texture."""
    return f"{SIZES[size]} {COLOURS[colour]} {SHAPES[shape]}".capitalize()


def make_catalogue(
    num_items: int, seed: int, prefix: str = "B", words: Callable[..., str] = looks
) -> Catalogue:
    """`num_items` items with independent, evenly spread traits, whose ids begin with the prefix,
    and of which titles say `words(shape, texture, colour, size)`; the same seed makes the same
    catalogue.
    """
    traits = stream(seed, "traits")
    shape, texture, colour, size = (
        traits.integers(len(kinds), size=num_items) for kinds in (SHAPES, TEXTURES, COLOURS, SIZES)
    )
    said = [words(*kinds) for kinds in zip(shape, texture, colour, size, strict=True)]
    return Catalogue(
        seed=seed,
        item_ids=_item_ids(num_items, stream(seed, "item ids"), prefix),
        titles=titles(said, stream(seed, "titles")),
        shape=shape,
        texture=texture,
        colour=colour,
        size=size,
        rgb=_tones(colour, stream(seed, "tones")),
        hidden=stream(seed, "hidden traits").normal(size=(num_items, NUM_HIDDEN)),
        popularity=_popularity(shape, colour, stream(seed, "popularity")),
    )


def _item_ids(num_items: int, rng: np.random.Generator, prefix: str) -> list[str]:
    """Article numbers with gaps, in no order."""
    numbers = rng.choice(max(100_000, 2 * num_items), size=num_items, replace=False)
    return [f"{prefix}-{number:05d}" for number in numbers]


def _tones(colour: Indices, rng: np.random.Generator) -> Floats:
    """(num_items, 3) RGB in 0..1: each item's colour with its own hue, saturation and value."""
    hue = np.array(list(HUES.values()), dtype=np.float64)[colour] + rng.normal(
        scale=_HUE_JITTER, size=len(colour)
    )
    saturation = rng.uniform(0.72, 0.95, len(colour))
    value = rng.uniform(0.72, 0.95, len(colour))
    sextant = (np.array([5, 3, 1]) + hue[:, None] / 60) % 6
    grey: Floats = 1 - saturation[:, None] * np.clip(np.minimum(sextant, 4 - sextant), 0, 1)
    return value[:, None] * grey


def _popularity(shape: Indices, colour: Indices, rng: np.random.Generator) -> Floats:
    """(num_items,) shares by Zipf and Mandelbrot: 1 / (rank + offset)^exponent, the rank mostly
    chance.
    """
    looks = rng.normal(size=len(SHAPES))[shape] + rng.normal(size=len(COLOURS))[colour]
    rank = np.argsort(np.argsort(-(rng.normal(size=len(shape)) + _TRAIT_PULL * looks)))
    weight = (rank + _ZIPF_OFFSET) ** -_ZIPF_EXPONENT
    shares: Floats = weight / weight.sum()
    return shares
