"""How a fit of alternating least squares is cut and exchanged, from an estimate of what each
way takes.
"""

from dataclasses import dataclass, replace
from typing import Literal

import pyarrow.compute as pc

from emberline.cf.als import compiled, factor_rows, packing
from emberline.errors import EmptyDatasetError
from emberline.flow.rows import Flow, Room, Source
from emberline.sections.als import AlsConfig

_RATINGS_PER_BLOCK = 4_000_000  # 32 MiB a side
_BYTES_PER_BLOCK = 64 << 20  # at most, of the factors that a routed block needs
# of a block's factors that a core's share of memory has room for: where they pass a JVM, it copies
# them
_COPIES = 16
_FLOAT, _DOUBLE = 4, 8
_MAX_BLOCKS = 1 << 16
# ratings times iterations of threads, from which compiling takes less time than it saves; NumPy's
# threads wait for each other, which processes of Spark's do not, where compiled code is no faster
_COMPILED_FROM = 1 << 24


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
    """The way chosen, and the bytes it takes: in this process, in each worker, and sent between
    machines per iteration. `compiled`: whether conjugate gradients are.
    """

    exchange: Literal["broadcast", "shuffle"]
    blocks: int
    driver_bytes: int
    worker_bytes: int
    bytes_per_iteration: int
    compiled: bool = False


def measure(ratings: Source, width: int) -> Sizes:
    """The sizes of ratings (user, item, value). Raises EmptyDatasetError where there are none."""
    count = ratings.count()
    if not count:
        raise EmptyDatasetError(
            "there are no ratings to learn from; look into rejected_ratings for what became of them"
        )
    largest = ratings.map(("user", "item"), packing.extent, packing.EXTENT).table()
    users, items = (1 + pc.max(largest[side]).as_py() for side in packing.SIDES)
    return Sizes(count, users, items, width)


def choose(
    config: AlsConfig,
    sizes: Sizes,
    flow: Flow,
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
        if _fits(sizes, flow.room)
        else "shuffle"
    )
    plan = (
        _broadcast(config, sizes, flow.cores)
        if wanted == "broadcast"
        else _shuffle(config, sizes, flow)
    )
    is_large = flow.threads > 1 and sizes.ratings * config.iterations >= _COMPILED_FROM
    iterates = config.solver == "cg" and not config.nonnegative
    return replace(
        plan,
        blocks=blocks or plan.blocks,
        compiled=is_large and iterates and compiled.is_here(),
    )


def _fits(sizes: Sizes, room: Room) -> bool:
    is_sent = 2 * sizes.larger_side <= room.driver
    return is_sent and (room.worker is None or 3 * sizes.factors <= room.worker)


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


def _shuffle(config: AlsConfig, sizes: Sizes, flow: Flow) -> Plan:
    row = sizes.width * _FLOAT
    most = min(_BYTES_PER_BLOCK, flow.room.core // _COPIES)
    blocks = config.blocks or _at_least(flow.cores, sizes.ratings * row / most)
    needed = sum(min(sizes.ratings / blocks, others) for others in (sizes.users, sizes.items)) * row
    totals = factor_rows.num_sums(blocks) * sizes.width**2 * 2 * _DOUBLE
    return Plan(
        "shuffle", blocks, totals, round(2 * needed), round(needed * blocks + 2 * sizes.factors)
    )


def _at_least(parallelism: int, parts: float) -> int:
    """Blocks enough for `parts`, all cores with as many each."""
    rounds = max(1, -(-parts // parallelism))
    return int(min(_MAX_BLOCKS, rounds * parallelism))
