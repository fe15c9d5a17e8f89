"""A fit's ratings for validation in this process, and what the factors of each iteration make of
them; see cf.validation.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.als import factors, validation
from emberline.cf.als.objective import Objective
from emberline.cf.als.validation import RATINGS
from emberline.errors import DataError
from emberline.factors.exchange import Exchange
from emberline.flow.rows import Rows, Source
from emberline.numeric.arrays import Array, Bool, Float32, Float64, Int32, Int64

_DRAWN = 20  # items drawn for each pair
_POOL = 1 << 14  # items that are drawn from, at most: their factors are in this process
_PAIRS = 200_000  # of about so many users that these are their ratings for validation, at most
_CHUNK = 1 << 12  # pairs at a time


@dataclass(frozen=True)
class Validation:
    """Pairs of user and item (n,), the items drawn for each of them (n, _DRAWN), and which of those
    the user has not rated.

    `pairs` are places in `users` and `items`, which are distinct ids, (n,) each; `drawn` are places
    in `pool`, ids of items.
    """

    users: Int32
    items: Int32
    pairs: tuple[Int64, Int64]
    values: Float32
    pool: Int32
    drawn: Int64
    unrated: Bool

    def measure(self, exchange: Exchange, objective: Objective) -> dict[str, float]:
        """The metric's name and its value, over all pairs for RMSE, and over users for AUC."""
        users = factors.published(exchange.rows_of("user", self.users), "user", objective)
        items = factors.published(exchange.rows_of("item", self.items), "item", objective)
        if not objective.implicit:
            scores = [
                _dots(users[user], items[item])
                for user, item in zip(*map(_chunks, self.pairs), strict=True)
            ]
            return {
                "rmse": float(
                    np.sqrt(np.mean((np.concatenate(scores) - self.values) ** 2, dtype=np.float64))
                )
            }
        pool = exchange.rows_of("item", self.pool)
        columns = (*self.pairs, self.drawn, self.unrated)
        parts = [
            _wins(
                _dots(users[user], items[item]),
                np.einsum("ik,ijk->ij", users[user], pool[drawn]),
                unrated,
            )
            for user, item, drawn, unrated in zip(*map(_chunks, columns), strict=True)
        ]
        wins, trials = (
            np.bincount(self.pairs[0], np.concatenate(parts)),
            np.bincount(self.pairs[0], self.unrated.sum(axis=1)),
        )
        return {"auc": float(np.mean(wins[trials > 0] / trials[trials > 0]))}


def _chunks(array: Array) -> Iterator[Array]:
    return (array[first : first + _CHUNK] for first in range(0, len(array), _CHUNK))


def _dots(left: Float32, right: Float32) -> Float32:
    dots: Float32 = np.einsum("ij,ij->i", left, right)
    return dots


def _wins(scores: Float32, drawn: Float32, unrated: Bool) -> Float64:
    """Over how many of the unrated drawn items (n, _DRAWN) each pair scores (n,), a tie
    being half a win.
    """
    above = (scores[:, None] > drawn) + 0.5 * (scores[:, None] == drawn)
    wins: Float64 = (above * unrated).sum(axis=1)
    return wins


def collect(
    ratings: Source, withheld: Source, objective: Objective, num_items: int, seed: int
) -> Validation | None:
    """What a fit of `ratings` is measured by, in this process: those `withheld`, all of them or
    those of some users; None where there are none.

    With implicit feedback only values above zero count. Raises DataError where these users have
    rated all items that theirs could be compared with.
    """
    columns = ("user", "item", "value")
    share = min(1.0, _PAIRS / max(1, withheld.count()))
    some = withheld.map(columns, partial(validation.sample, share=share, seed=seed), RATINGS)
    table = _sorted(some)
    counted = table.filter(pc.greater(table["value"], 0)) if objective.implicit else table
    if not counted.num_rows:
        return None
    users, user = np.unique(counted["user"].to_numpy(), return_inverse=True)
    items, item = np.unique(counted["item"].to_numpy(), return_inverse=True)
    trained = _sorted(ratings.map(columns, partial(validation.of_users, users=users), RATINGS))
    random = np.random.default_rng(seed)
    pool = random.choice(num_items, min(num_items, _POOL), replace=False).astype(np.int32)
    drawn = random.integers(0, len(pool), (len(user), _DRAWN))
    rated = np.concatenate([_keys(trained), _keys(table)])
    unrated = ~np.isin(users[user].astype(np.int64)[:, None] << 32 | pool[drawn], rated)
    if objective.implicit and not unrated.any():
        raise DataError(
            f"split.validation: the {len(users):,} users by whom ALS's iterations would be measured"
            " have rated every item that theirs are compared with; remove it, or choose others with"
            " another split.seed"
        )
    return Validation(users, items, (user, item), counted["value"].to_numpy(), pool, drawn, unrated)


def _sorted(ratings: Rows) -> pa.Table:
    return ratings.table().sort_by([("user", "ascending"), ("item", "ascending")])


def _keys(ratings: pa.Table) -> Int64:
    keys: Int64 = ratings["user"].to_numpy().astype(np.int64) << 32 | ratings["item"].to_numpy()
    return keys
