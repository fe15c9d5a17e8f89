"""How a fit of alternating least squares is cut and exchanged, from an estimate of what each
way takes.
"""

from dataclasses import dataclass, replace
from typing import Literal

import pyarrow.compute as pc
from pyspark.sql import SparkSession

from emberline.cf.als import factor_rows, packing
from emberline.errors import EmptyDatasetError
from emberline.sections.als import AlsConfig
from emberline.spark.scan import Scan

_RATINGS_PER_BLOCK = 4_000_000  # 32 MiB a side
_BYTES_PER_BLOCK = 64 << 20  # at most, of the factors that a routed block needs
# of a block's factors that a core's share of the heap has room for, where they pass a JVM to begin
# with
_COPIES = 16
_FLOAT, _DOUBLE = 4, 8
_MAX_BLOCKS = 1 << 16


@dataclass(frozen=True)
class Sizes:
    """How many ratings there are, how many indices each side has, and how many numbers a row's
    factors are.
    """

    ratings: int
    users: int
    items: int
    width: int

    @property
    def factors(self) -> int:
        """Bytes of both sides' factors."""
        return (self.users + self.items) * self.width * _FLOAT

    @property
    def larger_side(self) -> int:
        """Bytes of the larger side's factors."""
        return max(self.users, self.items) * self.width * _FLOAT


@dataclass(frozen=True)
class Plan:
    """The way chosen, and the bytes it takes: on the driver, in each Python worker, and sent
    between machines per iteration.
    """

    exchange: Literal["broadcast", "shuffle"]
    blocks: int
    driver_bytes: int
    worker_bytes: int
    bytes_per_iteration: int


def measure(ratings: Scan, width: int) -> Sizes:
    """The sizes of ratings (user, item, value). Raises EmptyDatasetError where there are none."""
    count = ratings.count()
    if not count:
        raise EmptyDatasetError(
            "there are no ratings to learn from; look into rejected_ratings for what became of them"
        )
    largest = ratings.map(("user", "item"), packing.extent, packing.EXTENT).toArrow()
    users, items = (1 + pc.max(largest[side]).as_py() for side in packing.SIDES)
    return Sizes(count, users, items, width)


def choose(
    config: AlsConfig,
    sizes: Sizes,
    spark: SparkSession,
    exchange: str | None = None,
    blocks: int | None = None,
) -> Plan:
    """Broadcast where both sides' factors fit the driver and the workers, unless the config says.

    `exchange` and `blocks` are those of an attempt that is continued.
    """
    wanted = exchange or (
        config.exchange
        if config.exchange != "auto"
        else "broadcast"
        if _fits(sizes, spark)
        else "shuffle"
    )
    parallelism = spark.sparkContext.defaultParallelism
    plan = (
        _broadcast(config, sizes, parallelism)
        if wanted == "broadcast"
        else _shuffle(config, sizes, spark)
    )
    return replace(plan, blocks=blocks or plan.blocks)


def _fits(sizes: Sizes, spark: SparkSession) -> bool:
    heap, result = (
        _setting(spark, "spark.driver.memory", "1g"),
        _setting(spark, "spark.driver.maxResultSize", "1g"),
    )
    worker = _setting(spark, "spark.executor.pyspark.memory", "0")
    results_fit = 2 * sizes.larger_side <= min(heap, result or heap)
    return results_fit and (not worker or 3 * sizes.factors <= worker)


def _setting(spark: SparkSession, name: str, default: str) -> int:
    """A setting of Spark's in bytes."""
    context = spark.sparkContext
    assert context._jvm is not None
    size: int = context._jvm.org.apache.spark.network.util.JavaUtils.byteStringAsBytes(
        context.getConf().get(name, default)
    )
    return size


def _heap_per_core(spark: SparkSession) -> int:
    """Bytes of an executor's heap, which in local mode is the driver's."""
    context = spark.sparkContext
    if (context.master or "").startswith("local"):
        return _setting(spark, "spark.driver.memory", "1g") // context.defaultParallelism
    return _setting(spark, "spark.executor.memory", "1g") // int(
        context.getConf().get("spark.executor.cores", "1") or 1
    )


def _broadcast(config: AlsConfig, sizes: Sizes, parallelism: int) -> Plan:
    blocks = config.blocks or _at_least(parallelism, sizes.ratings / _RATINGS_PER_BLOCK)
    packed = 4 * _FLOAT * sizes.ratings // blocks
    return Plan(
        "broadcast",
        blocks,
        2 * sizes.factors,
        sizes.factors + packed,
        (1 + parallelism) * sizes.factors,
    )


def _shuffle(config: AlsConfig, sizes: Sizes, spark: SparkSession) -> Plan:
    row = sizes.width * _FLOAT
    most = min(_BYTES_PER_BLOCK, _heap_per_core(spark) // _COPIES)
    blocks = config.blocks or _at_least(
        spark.sparkContext.defaultParallelism, sizes.ratings * row / most
    )
    needed = sum(min(sizes.ratings / blocks, others) for others in (sizes.users, sizes.items)) * row
    totals = factor_rows.num_sums(blocks) * sizes.width**2 * 2 * _DOUBLE
    return Plan(
        "shuffle", blocks, totals, round(2 * needed), round(needed * blocks + 2 * sizes.factors)
    )


def _at_least(parallelism: int, parts: float) -> int:
    """Blocks enough for `parts`, all cores with as many each."""
    rounds = max(1, -(-parts // parallelism))
    return int(min(_MAX_BLOCKS, rounds * parallelism))
