"""What ratings are predicted from: those in training, less what biases explain, and models'
tables.
"""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import DataFrame

from emberline.runs.stage_run import StageRun
from emberline.sections.cosine import CosineConfig
from emberline.spark import frames
from emberline.spark.biases import Biases
from emberline.spark.deviations import Side, deviations

Row = dict[str, Any]


class Rated:
    """The ratings in training, their biases and what these leave of them, each computed once."""

    def __init__(self, run: StageRun[Any], tables: Mapping[str, DataFrame]) -> None:
        self.tables = tables
        self._run = run
        self._biases: dict[float, Biases] = {}
        self._residuals: dict[float, DataFrame] = {}

    def biases(self, damping: float) -> Biases:
        """What is expected of a user and an item, damped by so many ratings."""
        if damping not in self._biases:
            self._biases[damping] = Biases.of(self.tables["ratings"], damping)
        return self._biases[damping]

    def residuals(self, damping: float) -> DataFrame:
        """Columns user, item and value: what such biases leave of each rating."""
        if damping not in self._residuals:
            left = self.biases(damping).residuals(self.tables["ratings"])
            kept = frames.checkpoint(left, self._run, f"residuals-{len(self._residuals)}")
            self._residuals[damping] = kept.persist()
        return self._residuals[damping]

    def by_neighbors(self, pairs: DataFrame, table: str, side: Side) -> DataFrame:
        """Columns user, item and predicted, by the settings that the table of neighbours has."""
        produced_by = self._run.inputs.produced_by(table)
        config = CosineConfig.model_validate(produced_by.config)
        damping = config.ratings.damping
        found = deviations(pairs, self.residuals(damping), side, config)
        return self.biases(damping).predictions(found)
