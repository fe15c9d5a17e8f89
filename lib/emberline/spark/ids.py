"""Append-only id maps: an outside id gets a dense index once and keeps it."""

from collections.abc import Callable

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from emberline.errors import DataError

_MAX_INDEX = 2**31 - 1
_ROW_BITS = 33  # monotonically_increasing_id is partition << 33 | row within the partition


def extend(
    previous: DataFrame | None, ids: DataFrame, id_column: str, index_column: str, store: Callable[[DataFrame], DataFrame]
) -> DataFrame:
    """Columns `index_column` and `id_column`: the previous map and, from its end on, the new ids in the order of their text.

    The new ids are numbered within range partitions, so that no machine sees them all. `store` keeps the partitioned ids: the
    counts per partition and the rows must come from the same partitioning, also where an executor is lost in between.

    Raises DataError past 2^31 - 1 ids.
    """
    fresh = ids.select(id_column).distinct()
    if previous is None:
        return _number(fresh, id_column, index_column, 0, store)
    known = previous.select(index_column, id_column)
    start = known.agg(F.max(index_column)).first()
    after = 0 if start is None or start[0] is None else start[0] + 1
    return known.unionByName(_number(fresh.join(known, id_column, "left_anti"), id_column, index_column, after, store))


def _number(ids: DataFrame, id_column: str, index_column: str, start: int, store: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """Number ids from `start` on."""
    ordered = ids.repartitionByRange(id_column).sortWithinPartitions(id_column)
    ordered = store(ordered.withColumn("_row", F.monotonically_increasing_id()))
    partition = F.shiftright("_row", _ROW_BITS).cast("int")
    counts = {row[0]: row[1] for row in ordered.groupBy(partition).count().collect()}
    if start + sum(counts.values()) > _MAX_INDEX:
        raise DataError(f"{start + sum(counts.values())} ids in {id_column}: an index is an int32, so {_MAX_INDEX} is the most")
    offsets = _offsets(counts, start)
    row = F.col("_row").bitwiseAND(F.lit((1 << _ROW_BITS) - 1))
    first = F.element_at(F.array(*[F.lit(offset).cast("long") for offset in offsets]), partition + 1)
    return ordered.select((first + row).cast("int").alias(index_column), id_column)


def _offsets(counts: dict[int, int], start: int) -> list[int]:
    """The first index of each partition, for partitions 0 to the last one that has rows."""
    offsets, position = [], start
    for partition in range(max(counts, default=0) + 1):
        offsets.append(position)
        position += counts.get(partition, 0)
    return offsets
