"""What the shop says of its items besides their titles: a category, a price and a description, by
which a part of the hidden traits is told that no picture shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberline.shop.streams import stream

# six directions of the first two hidden traits
CATEGORIES = ("kitchen", "garden", "office", "travel", "nursery", "workshop")
# from the smallest values of a hidden trait to the largest, two words for each step
_WORDS = (
    (
        ("factory-made", "standard"),
        ("tidy", "neat"),
        ("careful", "patient"),
        ("handmade", "signed"),
    ),
    (("featherlight", "airy"), ("light", "slim"), ("solid", "sturdy"), ("heavy", "massive")),
    (("quiet", "muted"), ("calm", "mild"), ("lively", "bright"), ("loud", "daring")),
)
_SENTENCES = ("{0} work, {1} to hold, {2} in a room.", "A {1} piece of {0} work with a {2} look.")
_ASIDES = ("Ships within two days.", "Gift wrapping on request.", "Two years of warranty.")
_STEPS = (-0.7, 0.0, 0.7)  # between words, in standard deviations
_HEARD = 0.6  # noise in what is told, next to traits that are standard normal
_MIDDLE, _SPREAD = 3.2, 0.5  # of the logarithm of a price

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Descriptions:
    """One entry per item in every field; prices have two digits after the point."""

    categories: list[str]
    prices: list[float]
    texts: list[str]


def describe(hidden: Floats, seed: int) -> Descriptions:
    """Of items with these hidden traits, (num_items, 3) of standard normal numbers; the same
    arguments say the same.
    """
    return Descriptions(
        _categories(_heard(hidden, stream(seed, "categories"))),
        _prices(_heard(hidden, stream(seed, "prices"))[:, 2]),
        _texts(_heard(hidden, stream(seed, "descriptions")), stream(seed, "words").integers),
    )


def _heard(hidden: Floats, rng: np.random.Generator) -> Floats:
    found: Floats = (hidden + rng.normal(scale=_HEARD, size=hidden.shape)) / np.hypot(1, _HEARD)
    return found


def _categories(traits: Floats) -> list[str]:
    angles = np.arctan2(traits[:, 1], traits[:, 0]) / (2 * np.pi) % 1
    return [CATEGORIES[int(place)] for place in angles * len(CATEGORIES)]


def _prices(trait: Floats) -> list[float]:
    return [round(float(price), 2) for price in np.exp(_MIDDLE + _SPREAD * trait)]


def _texts(traits: Floats, draw: Callable[..., NDArray[np.int64]]) -> list[str]:
    steps = np.digitize(traits, _STEPS)
    which = draw(2, size=(len(traits), len(_WORDS) + 1))
    asides = draw(len(_ASIDES), size=len(traits))
    found = []
    for own, chosen, aside in zip(steps, which, asides, strict=True):
        words = [each[step][at] for each, step, at in zip(_WORDS, own, chosen[:-1], strict=True)]
        said = _SENTENCES[chosen[-1]].format(*words)
        found.append(f"{said[:1].upper()}{said[1:]} {_ASIDES[aside]}")
    return found
