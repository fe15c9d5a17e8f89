"""Ratings withheld from a fit of alternating least squares, to compare its iterations by.

Explicit feedback is measured by the RMSE of predictions. Implicit feedback by AUC: how often a withheld item of a user scores
above an item drawn from those that the user has not rated; of the measures that can be taken on drawn items, it alone has the
value that it has on all items (Krichene and Rendle 2020).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from emberline.cf import als
from emberline.cf.als import Objective
from emberline.cf.blocks import Float32, Int32
from emberline.spark.exchange import Exchange

_SHARE = 5  # one rating of so many is withheld
_BUCKETS = 1_000_000
_DRAWN = 20  # items drawn for each withheld one


def withheld(num_indices: int, num_users: int, seed: int) -> Column:
    """Which ratings are withheld: by hashes of user and item, so that it is the same ones whenever they are computed again."""
    is_chosen = _bucket(seed, "users", "user") < min(_BUCKETS, -(-_BUCKETS * num_users // num_indices))
    return is_chosen & (_bucket(seed, "ratings", "user", "item") < _BUCKETS // _SHARE)


def _bucket(seed: int, purpose: str, *columns: str) -> Column:
    return F.pmod(F.xxhash64(F.lit(seed), F.lit(purpose), *columns), F.lit(_BUCKETS))


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


def collect(ratings: DataFrame, is_withheld: Column, objective: Objective, num_items: int, seed: int) -> Validation | None:
    """What is withheld, on the driver: it is of a few users; None where nothing is.

    ratings: all of them; with implicit feedback only withheld values above zero count.
    """
    chosen = ratings.withColumn("_withheld", is_withheld)
    users = chosen.where("_withheld").select("user").distinct()
    rated = (
        chosen.join(F.broadcast(users), "user", "left_semi").select("user", "item", "value", "_withheld").orderBy("user", "item")
    )
    table = rated.toArrow()  # of a few users
    counted = table.filter(_counts(table, objective))
    if not counted.num_rows:
        return None
    users_, items, values = (counted[name].to_numpy() for name in ("user", "item", "value"))
    drawn = np.random.default_rng(seed).integers(0, num_items, (len(users_), _DRAWN), dtype=np.int32)
    pairs = table["user"].to_numpy().astype(np.int64) << 32 | table["item"].to_numpy()
    unrated = ~np.isin(users_.astype(np.int64)[:, None] << 32 | drawn, pairs)
    return Validation(users_, items, values, drawn, unrated)


def _counts(table: pa.Table, objective: Objective) -> npt.NDArray[np.bool_]:
    counts: npt.NDArray[np.bool_] = table["_withheld"].to_numpy() & ((table["value"].to_numpy() > 0) | (not objective.implicit))
    return counts
