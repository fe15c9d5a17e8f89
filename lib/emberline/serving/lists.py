"""All published lists in memory: twenty bytes a place."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pyarrow.compute as pc

from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import whole
from emberline.numeric.arrays import Float32, Int32

_COLUMNS = ("user", "rank", "item", "score", "model")


@dataclass(frozen=True)
class Listed:
    """A place of a list: rank from 1, which item, its score, and the model that it is by."""

    rank: int
    item: int
    score: float
    model: str


@dataclass(frozen=True)
class Lists:
    """Places of lists, by user and rank, each (n,); `models` are places in `names`."""

    users: Int32
    ranks: Int32
    items: Int32
    scores: Float32
    models: Int32
    names: list[str]

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """All rows of `recommendations`. Raises DataError for a damaged part."""
        table = whole(dataset, _COLUMNS)
        models = pc.dictionary_encode(table["model"]).combine_chunks()
        arrays = [*(table[name].to_numpy() for name in _COLUMNS[:-1]), models.indices.to_numpy()]
        place = arrays[0].astype(np.int64) << 32 | arrays[1]
        if not (place[1:] > place[:-1]).all():
            order = np.argsort(place, kind="stable")
            arrays = [array[order] for array in arrays]
        users, ranks, items, scores, codes = arrays
        return cls(users, ranks, items, scores, codes, models.dictionary.to_pylist())

    def of_user(self, user: int, k: int) -> list[Listed]:
        """The first k places of a user's list, the best first."""
        first, last = np.searchsorted(self.users, np.array([user, user + 1], np.int32))
        return [
            Listed(
                int(self.ranks[place]),
                int(self.items[place]),
                float(self.scores[place]),
                self.names[self.models[place]],
            )
            for place in range(int(first), min(int(last), int(first) + k))
        ]
