"""How good a form of a network is beside the network itself: by the same measure, on the same
pictures.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, Self

import numpy as np

from emberline.cf import ranks
from emberline.cf.blocks import Block, matrix_of
from emberline.cf.entries import places_in
from emberline.cf.ranks import Candidates
from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.numeric import hashing
from emberline.numeric.arrays import Array, Float32, Int32, Int64

_MOST_USERS = 20_000
_SEED = 1


class Measure(Protocol):
    """What a network's answers (n, outputs) are worth, and how far another's are from them."""

    @property
    def name(self) -> Literal["accuracy", "auc", "cosine"]: ...

    def value(self, outputs: Float32) -> float: ...

    def distance(self, outputs: Float32, others: Float32) -> float: ...


@dataclass(frozen=True)
class Accuracy:
    """The share of pictures whose class is the first, of those with a label (n,); -1 is none."""

    labels: Array
    name: Literal["accuracy"] = "accuracy"

    def value(self, outputs: Float32) -> float:
        known = self.labels >= 0
        return float((outputs.argmax(axis=1) == self.labels)[known].mean())

    def distance(self, outputs: Float32, others: Float32) -> float:
        """The share of pictures that get another class."""
        return float((outputs.argmax(axis=1) != others.argmax(axis=1)).mean())


@dataclass(frozen=True)
class Cosine:
    """How alike factors are to the network's own."""

    own: Float32
    name: Literal["cosine"] = "cosine"

    def value(self, outputs: Float32) -> float:
        return 1 - self.distance(outputs, self.own)

    def distance(self, outputs: Float32, others: Float32) -> float:
        return 1 - mean_cosine(outputs, others)


@dataclass(frozen=True)
class Area:
    """The area under the ROC curve of items that nobody has rated, as the withheld ratings have it:
    factors of users (m, rank), and pairs of a user and a picture by their places, each (p,).

    `items` are the pictures' (n,), `order` sorts them.
    """

    users: Block
    items: Int32
    order: Int64
    asked: Int64
    relevant: Int64
    name: Literal["auc"] = "auc"

    @classmethod
    def of(cls, holdout: Dataset, factors: Dataset, items: Int32) -> Self | None:
        """Of up to 20,000 of the users, drawn by hash, and all pictures, (n,) by their items; None
        where nobody has rated any.
        """
        order = np.argsort(items, kind="stable")
        users, rated = _pairs(holdout, items, _MOST_USERS / max(1, factors.rows))
        block = _factors(factors, np.unique(users))
        asked, relevant = places_in(block.ids, users), places_in(items[order], rated)
        known = (asked >= 0) & (relevant >= 0)
        if not known.any():
            return None
        return cls(block, items[order], order, asked[known], relevant[known])

    def value(self, outputs: Float32) -> float:
        among = Candidates(self.items, outputs[self.order])
        ranked = ranks.ranks_of(self.users, among, self.asked, self.relevant, _SEED)
        users, _, areas = ranks.terms(ranked, len(self.items), ())
        return float(np.bincount(users, areas[:, 0]).mean())

    def distance(self, outputs: Float32, others: Float32) -> float:
        return 1 - mean_cosine(outputs, others)


def mean_cosine(left: Float32, right: Float32) -> float:
    """Of rows (n, d) with each other."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    products = np.einsum("nd,nd->n", left, right)
    return float((products / np.maximum(lengths, np.finfo(np.float32).tiny)).mean())


def _pairs(holdout: Dataset, items: Int32, share: float) -> tuple[Int32, Int32]:
    """A share of the users, and which of some items, withheld whole, they have rated: (p,) each."""
    users, rated = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    columns = ["user", "item", "value", "cold"]
    for batch in rows.withheld(rows.batches(holdout, columns), True, None):
        user, item = batch["user"].to_numpy(), batch["item"].to_numpy()
        chosen = hashing.below(hashing.of_ids(user, _SEED), share) & np.isin(item, items)
        users.append(user[chosen])
        rated.append(item[chosen])
    return np.concatenate(users), np.concatenate(rated)


def _factors(table: Dataset, users: Int32) -> Block:
    """Those of some users (m,), ascending, who have any."""
    ids, found = [np.empty(0, np.int32)], [np.empty((0, table.manifest.rank or 0), np.float32)]
    for batch in rows.among(rows.batches(table, ["user", "factors"]), 0, users):
        if not batch.num_rows:
            continue
        ids.append(batch["user"].to_numpy())
        found.append(matrix_of(batch["factors"], batch.num_rows))
    known = np.concatenate(ids)
    order = np.argsort(known, kind="stable")
    none = np.empty(0, np.int32)
    values = np.concatenate(found)[order].ravel()
    return Block(known[order], none.astype(np.int64), none, values)
