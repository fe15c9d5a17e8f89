"""What the shop knows of its customers besides their purchases: it tells a part of their tastes."""

import csv
import io

import numpy as np
from numpy.typing import NDArray

from emberline.shop.streams import stream

HEADER = ("customer", "interests", "birth_year", "region")
# how they are called that customers lean towards, one for each style of tastes
STYLES = ("retro", "minimal", "sporty", "elegant", "playful", "rustic")
_REGIONS = ("north", "east", "south", "west", "abroad")  # which say nothing of tastes
_TOLD = 2  # interests
_NOISE = 0.7  # in what customers say of themselves, next to leanings that are standard normal
_AGE, _AGE_SPREAD = 44.0, 14.0
_YEAR = 2025


def make_customers(ids: list[str], num_new: int, leanings: NDArray[np.float64], seed: int) -> bytes:
    """A CSV file with a header, a line for each customer, and for so many who are new; the same
    arguments make the same bytes.

    leanings: (num_users, num_styles or more), standard normal, as those of the new ones are.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(_lines(ids, leanings, stream(seed, "customers")))
    rng = stream(seed, "new customers")
    numbers = np.sort(rng.choice(100_000, size=num_new, replace=False))
    new = [f"n{number:05d}" for number in numbers]
    writer.writerows(_lines(new, rng.normal(size=(num_new, leanings.shape[1])), rng))
    return text.getvalue().encode()


def _lines(
    ids: list[str], leanings: NDArray[np.float64], rng: np.random.Generator
) -> list[tuple[str, str, int, str]]:
    heard = leanings[:, : len(STYLES)] + rng.normal(scale=_NOISE, size=(len(ids), len(STYLES)))
    interests = np.argsort(-heard, axis=1)[:, :_TOLD]
    ages = _AGE + _AGE_SPREAD * (0.6 * leanings[:, 0] + 0.8 * rng.normal(size=len(ids)))
    years = (_YEAR - np.clip(ages, 18, 95)).astype(int)
    regions = rng.integers(len(_REGIONS), size=len(ids))
    return [
        (customer, "|".join(sorted(STYLES[style] for style in told)), year, _REGIONS[region])
        for customer, told, year, region in zip(ids, interests, years, regions, strict=True)
    ]
