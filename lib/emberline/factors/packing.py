"""Ratings packed for alternating least squares: one row per block, which holds both sides'
sparse rows of its number.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.als import packing
from emberline.cf.als.packing import ACCOUNT, SIDES
from emberline.cf.blocks import BLOCK_FIELDS
from emberline.cf.entries import PIECES
from emberline.datasets.block_files import BlockFiles
from emberline.datasets.storage import Location
from emberline.errors import DataError, EmptyDatasetError
from emberline.factors import block_files
from emberline.flow.rows import Rows, Source

_ROUNDING = 1e-6  # of the mean: a deviation that float32 leaves of equal values


@dataclass(frozen=True)
class Side:
    """What is known of one side: how many rows are rated, and the largest id."""

    rows: int
    last: int


@dataclass(frozen=True)
class RatingBlocks:
    """The blocks, in memory or in `files`; how many ratings they hold, and the mean
    of these.

    `deviation` is their standard deviation, but 1 where all are equal.
    """

    rows: Rows
    num_blocks: int
    sides: dict[str, Side]
    ratings: int
    mean: float
    deviation: float
    files: BlockFiles | None = None

    def of(self, side: str, *names: str) -> Rows:
        """The columns of one side, their names without its prefix."""
        wanted = names or tuple(name for name, _ in BLOCK_FIELDS)
        return self.rows.select({"block": "block"} | {name: f"{side}_{name}" for name in wanted})


def pack(ratings: Source, num_blocks: int, folder: Location | None) -> RatingBlocks:
    """Blocks of ratings (columns user, item and value), cached, or, for a fit that routes factors,
    in files of a `folder`.

    Raises EmptyDatasetError without ratings, and DataError for values that are not finite and for
    pairs that occur twice.
    """
    scatter = partial(packing.scatter_ratings, num_blocks=num_blocks)
    pieces = ratings.map(("user", "item", "value"), scatter, PIECES)
    task = partial(packing.pack_blocks, num_blocks=num_blocks, routed=folder is not None)
    packed = pieces.together(num_blocks).map(task, packing.PACKED)
    names = [f"{side}_{name}" for side in SIDES for name, _ in ACCOUNT]
    if folder is None:
        rows, files = packed.kept(), None
        accounts = rows.select({name: name for name in names}).table()
    else:
        files, accounts = block_files.store(packed, folder, packing.PACKED, names)
        rows = block_files.rows_in(packed.flow, files, num_blocks, packing.PACKED)
    return _checked(accounts, RatingBlocks(rows, num_blocks, {}, 0, 0.0, 0.0, files))


def _checked(accounts: pa.Table, blocks: RatingBlocks) -> RatingBlocks:
    """The blocks, with what their accounts (a row per block) say together."""
    totals = {side: _totals(accounts, side) for side in SIDES}
    _check(totals["user"])
    sides = {side: Side(totals[side]["rows"], totals[side]["last"]) for side in SIDES}
    count, mean = totals["user"]["ratings"], totals["user"]["total"] / totals["user"]["ratings"]
    deviation = max(totals["user"]["squares"] / count - mean**2, 0.0) ** 0.5
    is_noise = deviation <= _ROUNDING * abs(mean)
    return replace(
        blocks, sides=sides, ratings=count, mean=mean, deviation=1.0 if is_noise else deviation
    )


def _totals(accounts: pa.Table, side: str) -> dict[str, Any]:
    """What a side's accounts come to: the largest id, and sums of the rest."""
    merge = {name: pc.max if name == "last" else pc.sum for name, _ in ACCOUNT}
    return {name: merge[name](accounts[f"{side}_{name}"]).as_py() for name in merge}


def _check(account: dict[str, Any]) -> None:
    if not account["ratings"]:
        raise EmptyDatasetError(
            "there are no ratings to learn from; look into rejected_ratings for what became of them"
        )
    if account["not_finite"]:
        raise DataError(
            f"ratings: {account['not_finite']:,} values are NaN or infinite; rerun prepare-ratings,"
            " which rejects such rows"
        )
    if account["repeated"]:
        raise DataError(
            f"ratings: {account['repeated']:,} of {account['ratings']:,} rows repeat a pair of user"
            " and item; rerun prepare-ratings, which merges them as ratings.keep says"
        )
