"""Sales of one year, clean: who bought what, when, and how many."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emberline.shop.catalogue import Catalogue
from emberline.shop.streams import stream
from emberline.shop.tastes import Tastes, make_tastes

YEAR = 2025

_DAYS = 365
_FEWEST = 5  # sales per customer, as far as the number of sales allows
_ACTIVITY_SPREAD = 0.95  # of the logarithm of a customer's activity, standard deviation
_MORE_THAN_ONE = 0.12
_CUSTOMERS_AT_ONCE = 1024  # bounds the memory for the odds of customers x items

Indices = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sales:
    """One entry per sale in the order of time, no two in the same second; customers and items
    are numbered from 0.
    """

    time: NDArray[np.datetime64]
    customer: Indices
    item: Indices
    quantity: Indices


def make_sales(catalogue: Catalogue, num_users: int, num_sales: int, seed: int) -> Sales:
    """Customers buy by popularity times taste, each time anew, so that some buy an item again."""
    activity = _activity(num_users, num_sales, stream(seed, "activity"))
    tastes = tastes_of(catalogue, num_users, seed)
    item = _choices(catalogue.popularity, tastes, activity, stream(seed, "choices"))
    order = stream(seed, "order").permutation(num_sales)
    return Sales(
        time=_times(num_sales, stream(seed, "times")),
        customer=np.repeat(np.arange(num_users), activity)[order],
        item=item[order],
        quantity=_quantities(num_sales, stream(seed, "quantities")),
    )


def tastes_of(catalogue: Catalogue, num_users: int, seed: int) -> Tastes:
    """By which the customers of this seed buy."""
    return make_tastes(catalogue, num_users, stream(seed, "tastes"))


def _activity(num_users: int, num_sales: int, rng: np.random.Generator) -> Indices:
    """(num_users,) sales of each customer, num_sales in all: a few for everyone, the rest
    log-normal.
    """
    fewest = min(_FEWEST, num_sales // num_users)
    weight = rng.lognormal(sigma=_ACTIVITY_SPREAD, size=num_users)
    return fewest + rng.multinomial(num_sales - fewest * num_users, weight / weight.sum())


def _choices(
    popularity: Floats, tastes: Tastes, activity: Indices, rng: np.random.Generator
) -> Indices:
    """(activity.sum(),) items, customer by customer."""
    blocks = [
        slice(start, start + _CUSTOMERS_AT_ONCE)
        for start in range(0, len(activity), _CUSTOMERS_AT_ONCE)
    ]
    odds = (popularity * np.exp(tastes.customers[block] @ tastes.items.T) for block in blocks)
    return np.concatenate(
        [
            _draw_rows(weights, activity[block], rng)
            for weights, block in zip(odds, blocks, strict=True)
        ]
    )


def _draw_rows(weights: Floats, times: Indices, rng: np.random.Generator) -> Indices:
    """(times.sum(),) columns, drawn with each row's weights as often as `times` says.

    Row r's cumulative shares, moved to r..r+1, make one increasing sequence of all rows: a single
    search serves every draw.
    """
    ends = np.cumsum(weights, axis=1)
    ends = ends / ends[:, -1:] + np.arange(len(weights))[:, None]
    rows = np.repeat(np.arange(len(weights)), times)
    found = np.searchsorted(ends.ravel(), rows + rng.random(len(rows)), side="right")
    columns: Indices = np.minimum(found - rows * weights.shape[1], weights.shape[1] - 1)
    return columns


def _times(num_sales: int, rng: np.random.Generator) -> NDArray[np.datetime64]:
    """(num_sales,) increasing seconds of the year, most of them in the evening; a shared second
    moves one sale to the next.
    """
    hours = rng.integers(_DAYS, size=num_sales) * 24 + rng.triangular(6, 20, 24, num_sales)
    steps = np.arange(num_sales)
    seconds = np.maximum.accumulate(np.sort((hours * 3600).astype(np.int64)) - steps) + steps
    return np.datetime64(f"{YEAR}-01-01T00:00:00", "s") + seconds


def _quantities(num_sales: int, rng: np.random.Generator) -> Indices:
    """(num_sales,) mostly 1, sometimes 2, hardly ever more."""
    return rng.geometric(1 - _MORE_THAN_ONE, num_sales)
