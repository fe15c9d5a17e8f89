"""A fit's withheld ratings on the driver, and what the factors of each iteration make of them; see cf.validation."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from emberline.cf import als, validation
from emberline.cf.als import Objective
from emberline.cf.blocks import Float32, Int32
from emberline.cf.validation import Withheld
from emberline.spark.exchange import Exchange
from emberline.spark.scan import Scan

_DRAWN = 20  # items drawn for each withheld one


@dataclass(frozen=True)
class Validation:
    """Withheld pairs (n,) with their values, and items drawn for each of them (n, _DRAWN), of which `unrated` count."""

    users: Int32
    items: Int32
    values: Float32
    drawn: Int32
    unrated: npt.NDArray[np.bool_]

    def measure(self, exchange: Exchange, objective: Objective) -> dict[str, float]:
        """The metric's name and its value, over all pairs for RMSE, and over users for AUC."""
        users = als.published(exchange.rows_of("user", self.users), "user", objective)
        scores = np.einsum("ij,ij->i", users, als.published(exchange.rows_of("item", self.items), "item", objective))
        if not objective.implicit:
            return {"rmse": float(np.sqrt(np.mean((scores - self.values) ** 2, dtype=np.float64)))}
        others = exchange.rows_of("item", self.drawn.ravel()).reshape(*self.drawn.shape, -1)
        drawn = np.einsum("ik,ijk->ij", users, others)
        above = (scores[:, None] > drawn) + 0.5 * (scores[:, None] == drawn)
        wins, trials = (above * self.unrated).sum(axis=1), self.unrated.sum(axis=1)
        _, owner = np.unique(self.users, return_inverse=True)
        wins, trials = np.bincount(owner, wins), np.bincount(owner, trials)
        return {"auc": float(np.mean(wins[trials > 0] / trials[trials > 0]))}


def collect(ratings: Scan, withheld: Withheld, objective: Objective, num_items: int) -> Validation | None:
    """What is withheld, on the driver: it is of a few users; None where nothing is.

    ratings: all of them; with implicit feedback only withheld values above zero count.
    """
    sample = ratings.map(("user", "item", "value"), partial(validation.sample, withheld=withheld), validation.SAMPLE)
    table = sample.toArrow().sort_by([("user", "ascending"), ("item", "ascending")])
    counted = table.filter(_counts(table, objective))
    if not counted.num_rows:
        return None
    users, items, values = (counted[name].to_numpy() for name in ("user", "item", "value"))
    drawn = np.random.default_rng(withheld.seed).integers(0, num_items, (len(users), _DRAWN), dtype=np.int32)
    pairs = table["user"].to_numpy().astype(np.int64) << 32 | table["item"].to_numpy()
    unrated = ~np.isin(users.astype(np.int64)[:, None] << 32 | drawn, pairs)
    return Validation(users, items, values, drawn, unrated)


def _counts(table: pa.Table, objective: Objective) -> npt.NDArray[np.bool_]:
    counts: npt.NDArray[np.bool_] = table["withheld"].to_numpy() & ((table["value"].to_numpy() > 0) | (not objective.implicit))
    return counts
