"""Dirt as real logs have it: lines spoiled one way each, so that it is known how many a reader
has to find of which kind.
"""

from collections.abc import Callable

import numpy as np

Line = list[str]  # time, customer, product, title, quantity

DUPLICATE = "duplicate"
SHARE = 0.015  # of all lines, for each kind

_IMPOSSIBLE_DAYS = ("2025-02-30", "2025-13-01", "2025-00-10")
_NO_NUMBERS = ("two", "a few", "1O", "?")
_NOT_POSITIVE = ("0", "-1", "-2")


def amount(num_lines: int) -> int:
    """How many of `num_lines` lines are dirty in each of the ways."""
    return round(SHARE * num_lines)


def spoil(
    lines: list[Line], each: int, rng: np.random.Generator
) -> tuple[list[Line], dict[str, int]]:
    """The lines with `each` of them spoiled in every way and `each` unspoiled ones sent twice; and
    the count of every kind.

    Copies follow their originals and are not in `lines`' number: the result is longer by `each`.
    """
    kinds = [*_SPOILERS, DUPLICATE]
    victims = rng.permutation(len(lines))[: each * len(kinds)].reshape(len(kinds), each)
    fate = {int(row): kind for kind, rows in zip(kinds, victims, strict=True) for row in rows}
    spoiled = [
        written for row, line in enumerate(lines) for written in _written(line, fate.get(row), rng)
    ]
    return spoiled, dict.fromkeys(kinds, each)


def _written(line: Line, kind: str | None, rng: np.random.Generator) -> list[Line]:
    """What ends up in the log for one line: once or twice, whole or not."""
    if kind is None:
        return [line]
    return [line, line] if kind == DUPLICATE else [_SPOILERS[kind](line, rng)]


def _without_customer(line: Line, rng: np.random.Generator) -> Line:
    return [line[0], "", *line[2:]]


def _without_product(line: Line, rng: np.random.Generator) -> Line:
    return [*line[:2], "", *line[3:]]


def _quantity_in_words(line: Line, rng: np.random.Generator) -> Line:
    return [*line[:4], str(rng.choice(_NO_NUMBERS))]


def _returned(line: Line, rng: np.random.Generator) -> Line:
    return [*line[:4], str(rng.choice(_NOT_POSITIVE))]


def _at_an_impossible_time(line: Line, rng: np.random.Generator) -> Line:
    clock = line[0].split(" ")[1]
    return [str(rng.choice(["n/a", *(f"{day} {clock}" for day in _IMPOSSIBLE_DAYS)])), *line[1:]]


def _torn(line: Line, rng: np.random.Generator) -> Line:
    """Cut within one of the first three fields: a cut in a quoted title would swallow the lines
    that follow.
    """
    whole = int(rng.integers(3))
    rest = line[whole]
    return [*line[:whole], rest[: int(rng.integers(1, len(rest)))]]


_SPOILERS: dict[str, Callable[[Line, np.random.Generator], Line]] = {
    "customer missing": _without_customer,
    "product missing": _without_product,
    "quantity not a number": _quantity_in_words,
    "quantity not positive": _returned,
    "time impossible": _at_an_impossible_time,
    "torn": _torn,
}
