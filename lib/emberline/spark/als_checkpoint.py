"""Where a fit of alternating least squares stands, so that a killed run goes on from there: its factors and its history."""

import json
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from emberline.cf.als_tasks import FACTORS, SIDES
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.spark.exchange import Exchange, write_blocks
from emberline.spark.frames import spark_schema

_STATE = "state.json"


class Checkpoint:
    """The iterations stored below a folder: the last one stored, and the best one; `state` says which, and is replaced last."""

    def __init__(self, folder: Location) -> None:
        self._folder = folder
        self.blocks: int | None = None
        self.history: list[dict[str, Any]] = []
        self.best = 0
        self._read()

    def _read(self) -> None:
        try:
            state = json.loads((self._folder / _STATE).read_bytes())
            self.blocks, self.history, self.best = state["blocks"], state["history"], state["best"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # nothing was stored

    def store(self, exchange: Exchange, history: list[dict[str, Any]], best: int) -> None:
        """Store both sides' factors after the last iteration of `history`, and forget all iterations but this and the best."""
        for side in SIDES:
            write_blocks(exchange.blocks(side), self._place(side, len(history)))
        state = {"blocks": exchange.ratings.num_blocks, "history": history, "best": best}
        storage.replace_file(self._folder / _STATE, json.dumps(state).encode())
        for iteration in {len(self.history), self.best} - {len(history), best, 0}:
            storage.remove_folder(self._folder / f"{iteration:05d}")
        self.history, self.best = list(history), best

    def factors(self, spark: SparkSession, side: str, iteration: int) -> DataFrame:
        """A side's factors after an iteration, as FACTORS."""
        return spark.read.schema(spark_schema(FACTORS)).parquet(storage.for_spark(self._place(side, iteration)))

    def _place(self, side: str, iteration: int) -> Location:
        return self._folder / f"{iteration:05d}" / side
