"""What the lists hold: how many there are, what their items come from, and how many items are
new.
"""

from dataclasses import dataclass

import numpy as np

from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import batches
from emberline.models import MODELS, caption_of
from emberline.numeric.arrays import Bool, Int32
from emberline.report.text import percent


@dataclass(frozen=True)
class Origin:
    """One way into the lists: the badge it has on the page, what that means, and how many
    places it fills.
    """

    badge: str
    is_new: bool
    meaning: str
    places: int
    share: str
    items: int


@dataclass(frozen=True)
class Lists:
    """All lists together."""

    sentence: str
    origins: list[Origin]


def badge_of(model: str) -> str:
    """The word for a model, short enough for one line."""
    return MODELS[model].badge or model if model in MODELS else model


def is_new(model: str) -> bool:
    """Whether it is for items that nobody has rated."""
    return model in MODELS and bool(MODELS[model].new_items)


def _meaning(model: str) -> str:
    new = ", of items that nobody has rated" if is_new(model) else ""
    return f"{caption_of(model)}{new}"


def lists(recommendations: Dataset, interactions: Dataset) -> Lists:
    """Of the published lists, beside all interactions, which they are made from."""
    rated = _seen(interactions, "item")
    users, by_model, places = _count(recommendations)
    every = np.zeros(max((len(found) for found in by_model.values()), default=0), bool)
    for found in by_model.values():
        every[: len(found)] |= found
    new = every & ~_fitting(rated, len(every))
    total = sum(places.values())
    origins = [
        Origin(
            badge_of(model),
            is_new(model),
            _meaning(model),
            count,
            percent(count, total),
            int(by_model[model].sum()),
        )
        for model, count in sorted(places.items(), key=lambda pair: -pair[1])
    ]
    return Lists(_sentence(users, int(every.sum()), int(new.sum()), int(rated.sum())), origins)


def _sentence(users: int, items: int, new: int, rated: int) -> str:
    shares = f"{items - new:,} of the {rated:,} items that somebody has rated"
    rest = f", and {new:,} that nobody has" if new else ", and none that nobody has"
    return f"The lists of {users:,} users hold {items:,} different items: {shares}{rest}."


def _count(recommendations: Dataset) -> tuple[int, dict[str, Bool], dict[str, int]]:
    """The number of lists, and by model the items, as a mask, and the places."""
    users: Bool = np.zeros(0, bool)
    by_model: dict[str, Bool] = {}
    places: dict[str, int] = {}
    for batch in batches(recommendations, ["user", "item", "model"]):
        users = _marked(users, batch["user"].to_numpy())
        models, items = batch["model"].to_numpy(zero_copy_only=False), batch["item"].to_numpy()
        for model in dict.fromkeys(models):
            chosen = items[models == model]
            by_model[model] = _marked(by_model.get(model, np.zeros(0, bool)), chosen)
            places[model] = places.get(model, 0) + len(chosen)
    return int(users.sum()), by_model, places


def _seen(dataset: Dataset, column: str) -> Bool:
    seen: Bool = np.zeros(0, bool)
    for batch in batches(dataset, [column]):
        seen = _marked(seen, batch[column].to_numpy())
    return seen


def _marked(mask: Bool, places: Int32) -> Bool:
    """The mask, true at the places, as long as it has to be."""
    longer = _fitting(mask, max(len(mask), int(places.max(initial=-1)) + 1))
    longer[places] = True
    return longer


def _fitting(mask: Bool, length: int) -> Bool:
    """A copy of the mask that is so long."""
    return np.pad(mask[:length], (0, max(0, length - len(mask))))
