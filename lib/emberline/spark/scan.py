"""Rows on their way to NumPy: those of a dataset are read by Python workers themselves, others
come through Spark.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from emberline.datasets import rows
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import Task
from emberline.flow.rows import TASKS_PER_CORE
from emberline.spark import frames
from emberline.spark.frames import spark_schema

_GROUPS = 32  # of a task, at most


@dataclass(frozen=True)
class Scan:
    """Rows, as a DataFrame, and for Python workers; those of `dataset`, where it is given."""

    frame: DataFrame
    dataset: Dataset | None = None

    @classmethod
    def of(cls, spark: SparkSession, dataset: Dataset) -> "Scan":
        """A dataset's rows. Raises SchemaError as `frames.read` does."""
        return cls(frames.read(spark, dataset), dataset)

    def count(self) -> int:
        """How many rows there are."""
        return self.frame.count() if self.dataset is None else self.dataset.rows

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> DataFrame:
        """What the task makes, partition by partition, of batches of some columns, in this
        order.
        """
        if self.dataset is None:
            return self.frame.select(*columns).mapInArrow(task, spark_schema(schema))
        spark, number = self.frame.sparkSession, len(rows.row_groups(self.dataset))
        cores = spark.sparkContext.defaultParallelism
        partitions = max(min(TASKS_PER_CORE * cores, number), -(-number // _GROUPS), 1)
        reading = partial(rows.hand_over, dataset=self.dataset, columns=columns, task=task)
        return spark.range(0, number, 1, partitions).mapInArrow(reading, spark_schema(schema))
