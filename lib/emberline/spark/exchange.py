"""How a half-step of alternating least squares gets the other side's factors to the blocks that need them.

`Broadcasting` holds both sides' factors on the driver and sends all of them to every worker. `Routing` keeps them in files, and
sends each block by a shuffle the rows that its ratings name: nothing larger than a block is on the driver or in a Python worker.
Both give the same factors.
"""

import uuid
from abc import ABC, abstractmethod
from functools import partial, reduce
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.cf import als_tasks
from emberline.cf.als import Grams, Loss, Objective, Solver
from emberline.cf.als_tasks import FACTORS, LOSS, OWN, ROWS, SIDES, SOLVED, Step
from emberline.cf.blocks import Float32, Int32
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.spark.frames import spark_schema
from emberline.spark.rating_blocks import RatingBlocks

OTHER = {"user": "item", "item": "user"}


# A row holds megabytes: Parquet is to look at what it holds after each, not after each hundred.
_LARGE_ROWS = {
    "compression": "none",
    "parquet.enable.dictionary": "false",
    "parquet.block.size": str(16 << 20),
    "parquet.page.size.row.check.min": "1",
}


def write_blocks(blocks: DataFrame, folder: Location) -> None:
    """Write rows of blocks to a folder of Parquet files, in place of what is there."""
    blocks.write.mode("overwrite").options(**_LARGE_ROWS).parquet(storage.spark_uri(folder))


class Exchange(ABC):
    """Both sides' factors, and half-steps that replace one side's."""

    def __init__(self, ratings: RatingBlocks, width: int) -> None:
        self.ratings = ratings
        self.width = width
        self.grams = {side: Grams.empty(width) for side in SIDES}

    @abstractmethod
    def load(self, side: str, factors: DataFrame) -> None:
        """Take a side's factors from FACTORS."""

    @abstractmethod
    def blocks(self, side: str) -> DataFrame:
        """A side's factors as FACTORS."""

    @abstractmethod
    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        """Replace a side's factors; SOLVED without them, a row per block."""

    def half_step(self, side: str, objective: Objective, solver: Solver) -> Loss:
        """Solve a side's factors from the other's; what they add to the objective."""
        solved = self.solve(side, Step(objective, solver, self.grams[OTHER[side]]))
        self.grams[side] = als_tasks.grams_of(solved, self.width)
        return reduce(Loss.merge, [Loss(*(row[name] for name in LOSS)) for row in solved])

    @abstractmethod
    def rows_of(self, side: str, wanted: Int32) -> Float32:
        """The factors of a few ids (n,): (n, width), zeros for those without ratings."""

    @abstractmethod
    def close(self) -> None:
        """Free what the workers hold."""


def _sums(blocks: pa.Table) -> list[dict[str, Any]]:
    """FACTORS or SOLVED without the factors, always in the same order, so that sums have the same bits."""
    names = [name for name in blocks.column_names if name not in ("ids", "factors")]
    rows: list[dict[str, Any]] = blocks.select(names).sort_by("block").to_pylist()
    return rows


def _gathered(blocks: pa.Table) -> tuple[Int32, Float32]:
    rows = blocks.to_pylist()
    ids = np.concatenate([np.frombuffer(row["ids"], np.int32) for row in rows])
    factors = np.concatenate([np.frombuffer(row["factors"], np.float32) for row in rows]).reshape(len(ids), -1)
    order = np.argsort(ids)
    return ids[order], factors[order]


class Broadcasting(Exchange):
    """Both sides' factors as arrays (ids, width) that every worker has."""

    def __init__(self, ratings: RatingBlocks, width: int) -> None:
        super().__init__(ratings, width)
        self._spark = ratings.frame.sparkSession
        self._blocks = {side: ratings.of(side) for side in SIDES}
        self._shared = {side: self._share(np.zeros((ratings.sides[side].last + 1, width), np.float32)) for side in SIDES}

    def load(self, side: str, factors: DataFrame) -> None:
        table = factors.toArrow()
        self._replace(side, *_gathered(table))
        self.grams[side] = als_tasks.grams_of(_sums(table), self.width)

    def blocks(self, side: str) -> DataFrame:
        task = partial(als_tasks.look_up, factors=self._shared[side])
        return self.ratings.of(side, "ids", "indptr").mapInArrow(task, spark_schema(FACTORS))

    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        task = partial(als_tasks.solve_shared, others=self._shared[OTHER[side]], own=self._shared[side], step=step)
        solved = self._blocks[side].mapInArrow(task, spark_schema(SOLVED)).toArrow()
        self._replace(side, *_gathered(solved))
        return _sums(solved)

    def rows_of(self, side: str, wanted: Int32) -> Float32:
        factors: Float32 = self._shared[side].value[wanted]
        return factors

    def close(self) -> None:
        for shared in self._shared.values():
            shared.destroy()

    def _share(self, factors: Float32) -> "Broadcast[Float32]":
        return self._spark.sparkContext.broadcast(factors)

    def _replace(self, side: str, ids: Int32, rows: Float32) -> None:
        before = self._shared[side]
        factors = np.zeros_like(before.value)
        factors[ids] = rows
        self._shared[side] = self._share(factors)
        before.destroy()


class Routing(Exchange):
    """Both sides' factors as files below `folder`, written anew by each half-step, so that no plan grows."""

    def __init__(self, ratings: RatingBlocks, width: int, folder: Location) -> None:
        super().__init__(ratings, width)
        self._folder = folder
        self._links = {side: self._link(side).persist() for side in SIDES}
        self._factors: dict[str, tuple[DataFrame, Location]] = {}

    def load(self, side: str, factors: DataFrame) -> None:
        self._replace(side, factors)
        self.grams[side] = als_tasks.grams_of(self._sums(side), self.width)

    def blocks(self, side: str) -> DataFrame:
        return self._factors[side][0].select(FACTORS.names)

    def solve(self, side: str, step: Step) -> list[dict[str, Any]]:
        def solve(packed: pa.Table, messages: pa.Table) -> pa.Table:  # a partial hides the type hints that applyInArrow needs
            return als_tasks.solve_routed(packed, messages, step)

        both = self.ratings.of(side).groupBy("block").cogroup(self._messages(side).groupBy("block"))
        self._replace(side, both.applyInArrow(solve, spark_schema(SOLVED)))
        return self._sums(side)

    def rows_of(self, side: str, wanted: Int32) -> Float32:
        task = partial(als_tasks.pick_factors, wanted=np.unique(wanted))
        ids, found = _gathered(self.blocks(side).mapInArrow(task, spark_schema(ROWS)).toArrow())
        rows = np.zeros((len(wanted), self.width), np.float32)
        places = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        known = ids[places] == wanted
        rows[known] = found[places[known]]
        return rows

    def close(self) -> None:
        for links in self._links.values():
            links.unpersist()

    def _link(self, side: str) -> DataFrame:
        task = partial(als_tasks.link_blocks, num_blocks=self.ratings.num_blocks)
        links = self.ratings.of(side, "needed").mapInArrow(task, spark_schema(als_tasks.LINKS))
        return links.repartition(self.ratings.num_blocks, "source")

    def _messages(self, side: str) -> DataFrame:
        sources = self.blocks(OTHER[side]).withColumnRenamed("block", "source")
        sent = self._links[side].join(sources.select("source", "ids", "factors"), "source")
        messages = sent.mapInArrow(als_tasks.send_factors, spark_schema(als_tasks.MESSAGES))
        if side not in self._factors:
            return messages
        return messages.unionByName(self.blocks(side).select("block", F.lit(OWN).alias("source"), "factors"))

    def _sums(self, side: str) -> list[dict[str, Any]]:
        return _sums(self._factors[side][0].drop("ids", "factors").toArrow())  # a row per block

    def _replace(self, side: str, solved: DataFrame) -> None:
        path = self._folder / f"{side}-{uuid.uuid4().hex}"
        write_blocks(solved, path)
        before = self._factors.get(side)
        self._factors[side] = solved.sparkSession.read.schema(solved.schema).parquet(storage.for_spark(path)), path
        if before:
            storage.remove_folder(before[1])
