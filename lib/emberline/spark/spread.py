"""Descriptions of work as the rows of partitions that cost about the same each."""

import math

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from emberline.flow.rows import TASKS_PER_CORE
from emberline.numeric.arrays import Float64

_TASK_COST = 128 << 20  # bytes of encoded pictures or of compressed rows, for some seconds of work


def spread(spark: SparkSession, table: pa.Table, costs: Float64) -> DataFrame:
    """The rows, in their order: a few partitions for every core, and more where one would cost
    too much.
    """
    waves = TASKS_PER_CORE * spark.sparkContext.defaultParallelism
    partitions = max(min(waves, len(table)), math.ceil(costs.sum() / _TASK_COST), 1)
    middle = np.cumsum(costs) - costs / 2
    number = (middle / costs.sum() * partitions).astype(np.int32)
    numbered = spark.createDataFrame(table.append_column("_partition", pa.array(number)))
    return numbered.repartitionById(partitions, "_partition").drop("_partition")
