"""Whether models rank items that nobody has rated better than chance would: beside the same factors
dealt out to other items, of some users and items.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.content.tasks import of_drawn
from emberline.cf.entries import places_in
from emberline.cf.permutations import item_z
from emberline.flow.rows import Source
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float32, Int32, Int64
from emberline.scoring.sources import Withheld

METRIC = "auc z"
_USERS, _ITEMS = 1000, 1000  # at most, about
_FACTORS = pa.schema([("user", pa.int32()), ("factors", pa.list_(pa.float32()))])
_PAIRS = pa.schema([("user", pa.int32()), ("item", pa.int32())])


@dataclass(frozen=True)
class Judges:
    """Some users' factors (u, rank), some of the candidates by their places (n,), and which of
    these are relevant to whom: (u, n).
    """

    users: Float32
    places: Int64
    relevant: Bool

    def z(self, factors: Float32) -> float:
        """Of what a model predicts of all candidates (candidates, rank)."""
        return item_z(self.users @ factors[self.places].T, self.relevant)


def judges(
    users: Source, holdout: Source, candidates: Int32, relevant_from: float | None, seed: int
) -> Judges:
    """Drawn by hashes; candidates: the items (n,), ascending."""
    draw = partial(of_drawn, share=min(1.0, _USERS / max(1, users.count())), seed=seed)
    found = users.map(("user", "factors"), draw, _FACTORS).table().sort_by("user")
    places = np.sort(np.argsort(hashing.of_ids(candidates, seed), kind="stable")[:_ITEMS])
    pairs = Withheld(holdout, True, relevant_from).map(("user", "item"), draw, _PAIRS).table()
    rows = places_in(found["user"].to_numpy(), pairs["user"].to_numpy())
    columns = places_in(candidates[places], pairs["item"].to_numpy())
    known = (rows >= 0) & (columns >= 0)
    relevant = np.zeros((found.num_rows, len(places)), bool)
    relevant[rows[known], columns[known]] = True
    factors = matrix_of(found["factors"].combine_chunks(), found.num_rows)
    return Judges(factors, places, relevant)
