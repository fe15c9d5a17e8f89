"""Tastes of the shop's customers: whom which item suits, as the product of a customer's and an
item's vector.

A customer leans towards some styles. How much of each style an item has follows from its shape and
texture, above all from the two together, less from its colour and size, and partly from its hidden
traits, which no picture shows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberline.shop.catalogue import COLOURS, NUM_HIDDEN, SHAPES, SIZES, TEXTURES, Catalogue

_NUM_STYLES = 6
# weights of the traits in an item's styles
_SHAPE, _TEXTURE, _BOTH, _COLOUR, _SIZE = 0.9, 0.9, 0.6, 0.5, 0.2
# how far the looks move the logarithm of a customer's odds, standard deviation
_STYLE_STRENGTH = 2.0
_HIDDEN_STRENGTH = 0.8

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tastes:
    """customers: (num_users, d), items: (num_items, d); their product is each customer's
    log-odds of liking each item.
    """

    customers: Floats
    items: Floats


def make_tastes(catalogue: Catalogue, num_users: int, rng: np.random.Generator) -> Tastes:
    """Customers' leanings are standard normal and independent; items alike in looks and hidden
    traits suit the same customers.
    """
    styles = _styles(catalogue, rng) * (_STYLE_STRENGTH / math.sqrt(_NUM_STYLES))
    hidden = catalogue.hidden * (_HIDDEN_STRENGTH / math.sqrt(NUM_HIDDEN))
    return Tastes(
        rng.normal(size=(num_users, _NUM_STYLES + NUM_HIDDEN)), np.hstack([styles, hidden])
    )


def _styles(catalogue: Catalogue, rng: np.random.Generator) -> Floats:
    """(num_items, num_styles): how much of each style an item shows, of variance 1 over the
    visible traits.
    """
    both = catalogue.shape * len(TEXTURES) + catalogue.texture
    parts = [
        (_SHAPE, len(SHAPES), catalogue.shape),
        (_TEXTURE, len(TEXTURES), catalogue.texture),
        (_BOTH, len(SHAPES) * len(TEXTURES), both),
        (_COLOUR, len(COLOURS), catalogue.colour),
        (_SIZE, len(SIZES), catalogue.size),
    ]
    total = sum(
        (weight * rng.normal(size=(kinds, _NUM_STYLES))[kind] for weight, kinds, kind in parts),
        np.zeros(_NUM_STYLES),
    )
    return total / math.sqrt(sum(weight**2 for weight, _, _ in parts))
