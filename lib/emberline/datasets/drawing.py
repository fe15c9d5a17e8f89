"""Users drawn from a table, the same ones whenever they are drawn again."""

import numpy as np

from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import batches


def draw(table: Dataset, count: int, seed: int) -> list[int]:
    """`count` of the users in the table, or all where they are fewer, by index."""
    is_there = np.zeros(0, bool)
    for batch in batches(table, ["user"]):
        users = batch["user"].to_numpy()
        is_there = np.pad(is_there, (0, max(0, users.max(initial=-1) + 1 - len(is_there))))
        is_there[users] = True
    users = np.flatnonzero(is_there)
    chosen = np.random.default_rng(seed).choice(users, min(count, len(users)), replace=False)
    return sorted(chosen.tolist())
