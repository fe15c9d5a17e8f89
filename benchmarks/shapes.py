"""Interactions made up for lists to be measured on: stars, play counts with a heavy tail, and
clicks, of people with tastes.

Items belong to niches, and these to genres. A person likes a few genres, and in them some niches;
what is popular is popular with all. Whom an item meets is drawn by popularity and liking together,
so that neither is enough by itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from emberline.numeric.arrays import Float64, Int64

_GENRES, _ITEMS_PER_NICHE = 12, 25
# how much niches count, and how far a person's liking for them is from that for their genre
_LIKING, _NOISE = 1.2, 1.2
# the k-th of N items is met as often as (k + SHIFT * N) ** -POPULARITY
_POPULARITY, _SHIFT = 0.9, 0.01
_FEWEST = 3


@dataclass(frozen=True)
class Shape:
    """How many people, items, and items a person on average; `values` makes those of pairs from
    how much they are liked.
    """

    num_users: int
    num_items: int
    items_per_user: float
    values: Callable[[np.random.Generator, Int64, Int64, Float64], Float64] | None = None
    spread: float = 1.0  # of the logarithm of items per user


def _stars(rng: np.random.Generator, user: Int64, item: Int64, liking: Float64) -> Float64:
    """From half a star to five: some people are kinder, and some items better, than others."""
    people, items = (
        rng.normal(3.2, 0.4, user.max() + 1)[user],
        rng.normal(0, 0.4, item.max() + 1)[item],
    )
    stars: Float64 = np.clip(
        np.round(2 * (people + items + 0.35 * liking + rng.normal(0, 0.7, len(user)))) / 2, 0.5, 5
    )
    return stars


def _plays(rng: np.random.Generator, user: Int64, item: Int64, liking: Float64) -> Float64:
    """From one to some hundred thousand, half of them below 300."""
    people = rng.normal(5, 1.2, user.max() + 1)[user]
    plays: Float64 = np.ceil(np.exp(people + 0.4 * liking + rng.normal(0, 1.1, len(user))))
    return plays


SHAPES = {
    "stars": Shape(900, 1600, 60, _stars),
    "plays": Shape(1900, 6000, 50, _plays, spread=0.0),
    "clicks": Shape(4000, 2000, 7),
    "few-stars": Shape(300, 400, 30, _stars),
}


def make(shape: Shape, seed: int = 1) -> pa.Table:
    """Columns user, item, and, where the shape has them, value, in the order of users."""
    rng = np.random.default_rng(seed)
    liking = _liking(rng, shape)
    rank = rng.permutation(shape.num_items)
    met = (
        liking
        - _POPULARITY * np.log(rank + _SHIFT * shape.num_items)
        + rng.gumbel(size=liking.shape)
    )
    drawn = shape.items_per_user * np.exp(rng.normal(0, shape.spread, shape.num_users))
    counts = np.clip(drawn.round(), _FEWEST, shape.num_items // 4).astype(np.int64)
    user = np.repeat(np.arange(shape.num_users), counts)
    item = np.concatenate(
        [best[:count] for best, count in zip(np.argsort(-met, axis=1), counts, strict=True)]
    )
    columns = {"user": user, "item": item}
    if shape.values is not None:
        columns["value"] = shape.values(rng, user, item, (liking / liking.std())[user, item])
    return pa.table(columns)


def write(name: str, folder: Path, seed: int = 1) -> Path:
    """The CSV file of one of SHAPES."""
    path = folder / f"{name}.csv"
    pcsv.write_csv(make(SHAPES[name], seed), path)
    return path


def _liking(rng: np.random.Generator, shape: Shape) -> Float64:
    """(users, items): how much each person likes each item, on average 0 or so."""
    num_niches = max(shape.num_items // _ITEMS_PER_NICHE, _GENRES)
    genre_of, niche_of = (
        rng.integers(0, _GENRES, num_niches),
        rng.integers(0, num_niches, shape.num_items),
    )
    genres = np.log(0.03 + rng.dirichlet(np.full(_GENRES, 0.3), shape.num_users))
    niches = genres[:, genre_of] + rng.normal(0, _NOISE, (shape.num_users, num_niches))
    niches -= np.log(np.exp(niches).mean(axis=1, keepdims=True))
    liked: Float64 = _LIKING * niches[:, niche_of]
    return liked
