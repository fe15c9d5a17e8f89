"""What somebody who is not in the tables has done: their events by outside ids, merged as the
pipeline merges its log.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, Int32

Given = Iterable[str | tuple[str, float]] | Mapping[str, float]
_LARGEST = float(np.finfo(np.float32).max)
_MERGED: dict[str, Callable[[float, float], float]] = {
    "latest": lambda before, now: now,
    "sum": lambda before, now: before + now,
    "max": max,
}


@dataclass(frozen=True)
class Valued:
    """What a log's values are, as the settings say that cleaned it: how several events of one item
    are merged, and what one counts that comes without a value; None where each needs one.
    """

    keep: str
    default: float | None

    @classmethod
    def of(cls, cleaning: Mapping[str, Any], mean: float | None) -> Self:
        """By the section [ratings]; mean: of all ratings, which stands for one that is not said."""
        is_rating = cleaning.get("value") == "rating"
        return cls(str(cleaning.get("keep", "latest")), mean if is_rating else 1.0)


@dataclass(frozen=True)
class Events:
    """Items (n,), ascending, and their values (n,); `unknown` are ids that no item has."""

    items: Int32
    values: Float32
    unknown: tuple[str, ...] = ()


def pairs_of(given: Given) -> list[tuple[str, float | None]]:
    """Ids and values, in the order of the events. Raises ConfigError for what is neither an id nor
    an id and a number.
    """
    every: Iterable[Any] = given.items() if isinstance(given, Mapping) else given
    return [_pair(event) for event in every]


def _pair(event: Any) -> tuple[str, float | None]:
    if isinstance(event, str):
        return event, None
    try:
        item, value = event
        number = float(value)
    except (TypeError, ValueError):
        item, number = event, math.nan
    if not isinstance(item, str) or not abs(number) <= _LARGEST:
        raise ConfigError(
            f"an event is {event!r:.60}: expected an item's id, or an id and a finite number"
        )
    return item, number


def merged(
    pairs: Iterable[tuple[str, float | None]],
    valued: Valued,
    index_of: Callable[[str], int | None],
) -> Events:
    """Events by the items' indices, each item once. Raises ConfigError for one without a value
    where that says something.
    """
    found: dict[int, float] = {}
    unknown: dict[str, None] = {}
    for item_id, value in pairs:
        number = valued.default if value is None else value
        if number is None:
            raise ConfigError(
                f"the event of item {item_id!r:.60} has no value: these are ratings, and none is"
                " known that could stand for one"
            )
        item = index_of(item_id)
        if item is None:
            unknown[item_id] = None
        else:
            merge = _MERGED[valued.keep]
            found[item] = merge(found[item], number) if item in found else number
    items = sorted(found)
    values = np.array([found[item] for item in items], np.float32)
    return Events(np.array(items, np.int32), values, tuple(unknown))
