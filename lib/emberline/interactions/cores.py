"""Users and items that have enough ratings of one another."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from emberline.cleaning import pairs
from emberline.cleaning.pairs import CODES
from emberline.flow.rows import Flow, Rows
from emberline.numeric.arrays import Bool


@dataclass(frozen=True)
class Sides:
    """How many codes of users and of items there are, and how many ratings each has to have."""

    users: int
    items: int
    min_user_ratings: int
    min_item_ratings: int


def left(flow: Flow, merged: Rows, sides: Sides) -> tuple[Bool, Bool]:
    """Which users (codes,) and which items (codes,) are left when those under their minimum are
    dropped, again and again, until none is.

    merged: pairs.MERGED, all rows of a user in one part. The number of rounds depends on the data,
    and is below ten on most.
    """
    items = np.ones(sides.items, bool)
    if sides.min_user_ratings == sides.min_item_ratings == 1:
        return np.ones(sides.users, bool), items
    merged = merged.select({name: name for name in ("user", "item", "latest")})
    while True:
        shared = flow.share(items)
        count = partial(
            pairs.count_items, minimum=sides.min_user_ratings, items=shared, blocks=flow.parts
        )
        enough = partial(pairs.with_enough, minimum=sides.min_item_ratings)
        counted = merged.map(count, CODES).together(flow.parts).map(enough, CODES).table()
        before, items = items, _marked(counted["code"].to_numpy(), sides.items)
        if np.array_equal(before, items):
            task = partial(pairs.users_left, minimum=sides.min_user_ratings, items=shared)
            users = merged.map(task, CODES).table()["code"].to_numpy()
            shared.destroy()
            return _marked(users, sides.users), items
        shared.destroy()


def _marked(codes: np.ndarray, count: int) -> Bool:
    found = np.zeros(count, bool)
    found[codes] = True
    return found
