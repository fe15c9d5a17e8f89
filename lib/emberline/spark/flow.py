"""Work on blocks by Spark's workers: see flow/rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyspark import Broadcast
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.manifest import Dataset, Part
from emberline.datasets.rows import Task, unchanged
from emberline.datasets.storage import Location
from emberline.flow import dealing
from emberline.flow.rows import Cells, Room, Rows
from emberline.numeric.arrays import Float64
from emberline.spark import frames
from emberline.spark.frames import spark_schema
from emberline.spark.scan import Scan


@dataclass(frozen=True)
class SparkRows:
    """Rows as a DataFrame, whose partitions are the parts."""

    frame: DataFrame

    @property
    def flow(self) -> "SparkFlow":
        return SparkFlow(self.frame.sparkSession)

    def map(self, task: Task, schema: pa.Schema) -> "SparkRows":
        return SparkRows(self.frame.mapInArrow(task, spark_schema(schema)))

    def apart(self, task: Task, schema: pa.Schema) -> "SparkRows":
        return self.map(task, schema)

    def select(self, names: Mapping[str, str]) -> "SparkRows":
        return SparkRows(self.frame.select([F.col(old).alias(new) for new, old in names.items()]))

    def together(self, parts: int, by: str = "block", order: Sequence[str] = ()) -> "SparkRows":
        frame = self.frame.repartitionById(parts, by)
        return SparkRows(frame.sortWithinPartitions(*order) if order else frame)

    def in_cells(self, cells: Cells, is_left: bool) -> "SparkRows":
        first = F.col("block") % cells.modulo * cells.scale
        last = first + (cells.times - 1) * cells.stride
        every = F.explode(F.sequence(first, last, F.lit(cells.stride))).alias("cell")
        return SparkRows(
            self.frame.select(every, F.lit(is_left).alias("is_left"), *self.frame.columns)
        )

    def union(self, other: "SparkRows") -> "SparkRows":
        return SparkRows(self.frame.unionByName(other.frame))

    def beside(self, other: "SparkRows") -> "SparkRows":
        # else Spark may send all rows to one task
        return SparkRows(self.frame.crossJoin(other.frame.hint("shuffle_replicate_nl")))

    def kept(self) -> "SparkRows":
        return SparkRows(self.frame.persist())

    def free(self) -> None:
        self.frame.unpersist()

    def table(self) -> pa.Table:
        return self.frame.toArrow()

    def write(
        self,
        folder: Location,
        schema: pa.Schema,
        through: Task = unchanged,
        group_rows: int | None = None,
    ) -> list[Part]:
        return frames.write_parts_of(self.frame, folder, schema, group_rows, through)


def frame_of(rows: Rows) -> DataFrame:
    """The DataFrame that rows of Spark's are."""
    assert isinstance(rows, SparkRows)
    return rows.frame


@dataclass(frozen=True)
class SparkSource:
    """A Scan as something to begin with."""

    scan: Scan

    def count(self) -> int:
        return self.scan.count()

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> SparkRows:
        return SparkRows(self.scan.map(columns, task, schema))


@dataclass(frozen=True)
class SparkFlow:
    """Tasks on Spark's workers."""

    session: SparkSession

    @property
    def cores(self) -> int:
        return self.session.sparkContext.defaultParallelism

    @property
    def threads(self) -> int:
        return 1

    @property
    def parts(self) -> int:
        return int(self.session.conf.get("spark.sql.shuffle.partitions") or 1)

    @property
    def room(self) -> Room:
        heap = self._setting("spark.driver.memory", "1g")
        result = self._setting("spark.driver.maxResultSize", "1g")
        worker = self._setting("spark.executor.pyspark.memory", "0")
        return Room(min(heap, result or heap), worker or None, self._heap_per_core())

    def read(self, dataset: Dataset) -> SparkSource:
        return SparkSource(Scan.of(self.session, dataset))

    def numbers(self, count: int) -> SparkRows:
        return SparkRows(self.session.range(0, count, 1, count))

    def deal(self, work: pa.Table, costs: Float64) -> SparkRows:
        parts, number = dealing.parts_of(costs, self.cores)
        numbered = self.session.createDataFrame(work.append_column("_part", pa.array(number)))
        return SparkRows(numbered.repartitionById(parts, "_part").drop("_part"))

    def share(self, array: Any) -> "Broadcast[Any]":
        return self.session.sparkContext.broadcast(array)

    def _setting(self, name: str, default: str) -> int:
        """A setting of Spark's in bytes."""
        context = self.session.sparkContext
        assert context._jvm is not None
        size: int = context._jvm.org.apache.spark.network.util.JavaUtils.byteStringAsBytes(
            context.getConf().get(name, default)
        )
        return size

    def _heap_per_core(self) -> int:
        """Bytes of an executor's heap, which in local mode is the driver's."""
        context = self.session.sparkContext
        if (context.master or "").startswith("local"):
            return self._setting("spark.driver.memory", "1g") // context.defaultParallelism
        return self._setting("spark.executor.memory", "1g") // int(
            context.getConf().get("spark.executor.cores", "1") or 1
        )
