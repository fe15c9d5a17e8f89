"""Append-only id maps: an outside id gets a dense index once and keeps it, whichever stage meets it
first.

Ratings, attributes and pictures name items that the others may not know: all of them number ids
after the end of all that any of their datasets under the root holds. Attributes and pictures may
lose an id again; the manifests' `next_index` keeps its index from being given to another.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from emberline.datasets.facts import Indices
from emberline.datasets.manifest import Dataset
from emberline.errors import DataError
from emberline.runs.stage_run import StageRun
from emberline.spark import frames

ID_TABLES = {"user": ("users", "user_attributes"), "item": ("items", "item_attributes", "images")}
_MAX_INDEX = 2**31 - 1
_ROW_BITS = 33  # monotonically_increasing_id is partition << 33 | row within the partition


@dataclass(frozen=True)
class Known:
    """`ids`: columns of index and id, None where there are none; `next_index`: the first index
    that none has ever had.
    """

    ids: DataFrame | None
    next_index: int


def known(run: StageRun[Any], spark: SparkSession, side: str) -> Known:
    """Every id of a side (user or item) that a dataset under the root has an index for.

    What is no input of the stage is recorded as lineage. Raises DataError where two datasets
    contradict each other.
    """
    opened = [run.inputs.get(name) or run.outputs.previous(name) for name in ID_TABLES[side]]
    datasets = [dataset for dataset in opened if dataset is not None]
    ends = (dataset.manifest.given(Indices) for dataset in datasets)
    next_index = max((end.next_index for end in ends if end), default=0)
    return Known(_joined(spark, datasets, side), next_index)


def _joined(spark: SparkSession, datasets: list[Dataset], side: str) -> DataFrame | None:
    found = [frames.read(spark, dataset).select(side, f"{side}_id") for dataset in datasets]
    if len(found) < 2:
        return found[0] if found else None
    ids = reduce(DataFrame.unionByName, found).distinct()
    counts = ids.agg(F.count("*"), F.countDistinct(side), F.countDistinct(f"{side}_id")).first()
    if counts is None or len(set(counts)) != 1:
        raise DataError(
            f"{', '.join(dataset.name for dataset in datasets)} in {datasets[0].folder.parent} give"
            f" one {side} two indices: one was restored from another root or time; remove it and"
            " run its stage again"
        )
    return ids


def record_end(
    run: StageRun[Any], spark: SparkSession, name: str, side: str, before: Known
) -> None:
    """Write into the manifest of a dataset that was just written which index comes after all
    that were ever given.
    """
    last = frames.read(spark, run.outputs.written(name)).agg(F.max(side)).first()
    end = 0 if last is None or last[0] is None else last[0] + 1
    run.outputs.finish(name, Indices(max(before.next_index, end)))


def extend(
    before: Known,
    ids: DataFrame,
    id_column: str,
    index_column: str,
    store: Callable[[DataFrame], DataFrame],
) -> DataFrame:
    """Columns `index_column` and `id_column`: the known ids and, from their end on, the new ones in
    the order of their text.

    The new ids are numbered within range partitions, so that no machine sees them all. `store`
    keeps the partitioned ids: the counts per partition and the rows must come from the same
    partitioning, also where an executor is lost in between.

    Raises DataError past 2^31 - 1 ids.
    """
    fresh = ids.select(id_column).distinct()
    if before.ids is None:
        return _number(fresh, id_column, index_column, before.next_index, store)
    known = before.ids.select(index_column, id_column)
    last = known.agg(F.max(index_column)).first()
    after = max(before.next_index, 0 if last is None or last[0] is None else last[0] + 1)
    return known.unionByName(
        _number(fresh.join(known, id_column, "left_anti"), id_column, index_column, after, store)
    )


def _number(
    ids: DataFrame,
    id_column: str,
    index_column: str,
    start: int,
    store: Callable[[DataFrame], DataFrame],
) -> DataFrame:
    """Number ids from `start` on."""
    ordered = ids.repartitionByRange(id_column).sortWithinPartitions(id_column)
    ordered = store(ordered.withColumn("_row", F.monotonically_increasing_id()))
    partition = F.shiftright("_row", _ROW_BITS).cast("int")
    counts = {row[0]: row[1] for row in ordered.groupBy(partition).count().collect()}
    if start + sum(counts.values()) > _MAX_INDEX:
        raise DataError(
            f"{start + sum(counts.values())} ids in {id_column}: an index is an int32, so"
            f" {_MAX_INDEX} is the most"
        )
    offsets = _offsets(counts, start)
    row = F.col("_row").bitwiseAND(F.lit((1 << _ROW_BITS) - 1))
    first = F.element_at(
        F.array(*[F.lit(offset).cast("long") for offset in offsets]), partition + 1
    )
    return ordered.select((first + row).cast("int").alias(index_column), id_column)


def _offsets(counts: dict[int, int], start: int) -> list[int]:
    """The first index of each partition, for partitions 0 to the last one that has rows."""
    offsets, position = [], start
    for partition in range(max(counts, default=0) + 1):
        offsets.append(position)
        position += counts.get(partition, 0)
    return offsets
