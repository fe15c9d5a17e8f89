"""Ratings packed for alternating least squares: one row per block, which holds both sides' sparse rows of its number."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.cf import als_tasks
from emberline.cf.als_tasks import ACCOUNT, SIDES
from emberline.cf.blocks import BLOCK_FIELDS
from emberline.cf.entries import PIECES
from emberline.cf.validation import Withheld
from emberline.errors import DataError, EmptyDatasetError
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan


@dataclass(frozen=True)
class Side:
    """What is known of one side: how many rows are rated, and the largest id."""

    rows: int
    last: int


@dataclass(frozen=True)
class RatingBlocks:
    """The blocks, cached; how many ratings they hold, and their mean."""

    frame: DataFrame
    num_blocks: int
    sides: dict[str, Side]
    ratings: int
    mean: float

    def of(self, side: str, *names: str) -> DataFrame:
        """The columns of one side, their names without its prefix."""
        wanted = names or tuple(name for name, _ in BLOCK_FIELDS)
        return self.frame.select("block", *[F.col(f"{side}_{name}").alias(name) for name in wanted])


def pack(ratings: Scan, num_blocks: int, routed: bool, withheld: Withheld | None = None) -> RatingBlocks:
    """Blocks of ratings (columns user, item and value), in the cluster's memory or, where that is short, on its disks.

    Raises EmptyDatasetError without ratings, and DataError for values that are not finite and for pairs that occur twice.
    """
    scatter = partial(als_tasks.scatter_ratings, num_blocks=num_blocks, withheld=withheld)
    pieces = ratings.map(("user", "item", "value"), scatter, PIECES)
    task = partial(als_tasks.pack_blocks, num_blocks=num_blocks, routed=routed)
    packed = pieces.repartitionById(num_blocks, "block").mapInArrow(task, spark_schema(als_tasks.PACKED))
    frame = (packed.repartition(num_blocks, "block") if routed else packed).persist()
    accounts = _accounts(frame)
    _check(accounts["user"])
    sides = {side: Side(accounts[side]["rows"], accounts[side]["last"]) for side in SIDES}
    count = accounts["user"]["ratings"]
    return RatingBlocks(frame, num_blocks, sides, count, accounts["user"]["total"] / count)


def _accounts(frame: DataFrame) -> dict[str, dict[str, Any]]:
    """Each side's ACCOUNT, over all blocks."""
    names = [name for name, _ in ACCOUNT]
    totals = [(F.max if name == "last" else F.sum)(f"{side}_{name}") for side in SIDES for name in names]
    found = list(frame.agg(*totals).first() or ())
    return {side: dict(zip(names, found[at * len(names) :], strict=False)) for at, side in enumerate(SIDES)}


def _check(account: dict[str, Any]) -> None:
    if not account["ratings"]:
        raise EmptyDatasetError("there are no ratings to learn from; look into rejected_ratings for what became of them")
    if account["not_finite"]:
        raise DataError(
            f"ratings: {account['not_finite']:,} values are NaN or infinite; rerun prepare-ratings, which rejects such rows"
        )
    if account["repeated"]:
        raise DataError(
            f"ratings: {account['repeated']:,} of {account['ratings']:,} rows repeat a pair of user and item; "
            "rerun prepare-ratings, which merges them as ratings.keep says"
        )
