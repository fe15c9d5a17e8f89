"""Batches of pictures from shards, in the order that `datasets.sharding` gives, read ahead by a thread with bounded memory."""

import math
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from emberline.config import CnnConfig
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import open_parquet, row_groups
from emberline.datasets.sharding import Int64, Plan, Pool, groups_of
from emberline.errors import SchemaError
from emberline.images.pixels import Pixels, augment, pixel_array, row_keys

_AHEAD = 4  # global batches
T = TypeVar("T")

Targets = npt.NDArray[Any]  # (n,) int32 classes, or (n, rank) float32 factors
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """Pictures (n, height, width, channels) uint8, targets (n,) classes or (n, rank) factors, and places in the shards (n,)."""

    pixels: Pixels
    targets: Targets
    numbers: Int64

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, order: Int64 | slice) -> "Rows":
        return Rows(self.pixels[order], self.targets[order], self.numbers[order])


@dataclass(frozen=True)
class Batch:
    """One replica's part of a global batch; weights (n,) are 0 for rows that only fill it, `total` is the global batch's sum."""

    pixels: Pixels
    targets: Targets
    weights: Float32
    total: float


class Shards:
    """Random access to the row groups of a dataset of shards; those read last stay in memory, up to `cache_bytes`."""

    def __init__(self, dataset: Dataset, cache_bytes: int) -> None:
        info, parts = dataset.manifest.info, dataset.manifest.parts
        self.dataset = dataset
        self.shape = (info["height"], info["width"], info["channels"])
        self.group_rows = groups_of([(part.rows, part.row_groups) for part in parts], info["row_group_rows"])
        self._column = "label" if info["task"] == "class" else "factors"
        self._places = row_groups(dataset)
        self._begins = np.cumsum(self.group_rows) - self.group_rows
        self._cache: OrderedDict[int, Rows] = OrderedDict()
        self._room = cache_bytes

    def __len__(self) -> int:
        return sum(self.group_rows)

    def group(self, number: int) -> Rows:
        """All rows of one row group. Raises DataError for a damaged part, SchemaError for pixels of another size."""
        if number in self._cache:
            self._cache.move_to_end(number)
            return self._cache[number]
        rows = self._load(number)
        self._cache[number] = rows
        self._room -= rows.pixels.nbytes
        while self._room < 0 and len(self._cache) > 1:
            self._room += self._cache.popitem(last=False)[1].pixels.nbytes
        return rows

    def in_order(self) -> Iterator[Rows]:
        """Row group after row group, none of them kept."""
        return map(self._load, range(len(self.group_rows)))

    def targets(self) -> Targets:
        """The targets of all rows, in the shards' order, without reading a picture."""
        columns = [_targets(self._read(number, [self._column])[self._column]) for number in range(len(self.group_rows))]
        return np.concatenate(columns)

    def items(self, number: int) -> pa.Array:
        """The dense indices of one row group's items."""
        return self._read(number, ["item"])["item"].combine_chunks()

    def _load(self, number: int) -> Rows:
        table = self._read(number, ["pixels", self._column])
        sizes = pc.unique(pc.binary_length(table["pixels"])).to_pylist()
        if sizes != [math.prod(self.shape)]:
            found = " and ".join(map(str, sizes[:3]))
            raise SchemaError(f"{self.dataset.name}: pictures of {found} bytes where the manifest says {self.shape}")
        pixels = pixel_array(table["pixels"].combine_chunks())
        numbers = self._begins[number] + np.arange(len(pixels))
        return Rows(pixels.reshape(-1, *self.shape), _targets(table[self._column]), numbers)

    def _read(self, number: int, columns: list[str]) -> pa.Table:
        path, group = self._places[number]
        with manifests.damage_explained(self.dataset, path), open_parquet(path) as file:
            return file.read_row_group(group, columns=columns)


def _targets(column: pa.ChunkedArray) -> Targets:
    """Classes, -1 where there is none, or factors, an empty matrix where a row has none."""
    if pa.types.is_integer(column.type):
        return np.asarray(column.fill_null(-1).to_numpy(), np.int32)
    if column.null_count:
        return np.empty((len(column), 0), np.float32)
    factors: Float32 = column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
    return factors


class Reader:
    """A replica's share of every epoch, from any step on, the same whenever it is asked for."""

    def __init__(self, shards: Shards, config: CnnConfig, target_of: Callable[[Targets], Targets] = np.asarray) -> None:
        self.plan = Plan(shards.group_rows, config.seed, config.global_batch_size, config.streams, config.pool)
        self._shards = shards
        self._config = config
        self._target_of = target_of

    def batches(self, epoch: int, start: int, replicas: int) -> Iterator[list[Batch]]:
        """From step `start` of the epoch on, a global batch in as many parts as there are replicas; read ahead."""
        yield from _ahead(self._global_batches(epoch, start, replicas))

    def _global_batches(self, epoch: int, start: int, replicas: int) -> Iterator[list[Batch]]:
        streams = [self._stream(epoch, stream, start) for stream in range(self.plan.streams)]
        for _ in range(start, self.plan.steps):
            chunks = [next(stream) for stream in streams]
            total = float(sum(weights.sum() for _, weights in chunks))
            yield [self._batch([chunks[s] for s in self.plan.streams_of(r, replicas)], epoch, total) for r in range(replicas)]

    def _batch(self, chunks: list[tuple[Rows, Float32]], epoch: int, total: float) -> Batch:
        pixels, targets, numbers = (
            np.concatenate([getattr(rows, name) for rows, _ in chunks]) for name in ("pixels", "targets", "numbers")
        )
        keys = row_keys(self._config.seed, epoch, numbers)
        changed = augment(pixels, keys, self._config.flip, self._config.shift)
        return Batch(changed, self._target_of(targets), np.concatenate([weights for _, weights in chunks]), total)

    def _stream(self, epoch: int, stream: int, start: int) -> Iterator[tuple[Rows, Float32]]:
        """Rows and weights of each step from `start` on; where the stream has run out, the first row of all with weight 0."""
        size = self.plan.stream_batch_size
        waiting: list[Rows] = []
        filler = self._shards.group(0).take(slice(0, 1))
        for rows in self._rows(epoch, stream, start * size):
            waiting.append(rows)
            while sum(map(len, waiting)) >= size:
                whole = _joined(waiting)
                yield whole.take(slice(0, size)), np.ones(size, np.float32)
                waiting = [whole.take(slice(size, None))]
        while True:
            missing = size - sum(map(len, waiting))
            weights = np.concatenate([np.ones(size - missing, np.float32), np.zeros(missing, np.float32)])
            yield _joined([*waiting, *[filler] * missing]), weights
            waiting = []

    def _rows(self, epoch: int, stream: int, position: int) -> Iterator[Rows]:
        """A stream's rows pool by pool, without the first `position` of them; what lies before is not read."""
        for pool in self.plan.pools(epoch, stream):
            if position < len(pool.order):
                yield self._pool(pool).take(slice(position, None))
            position = max(0, position - len(pool.order))

    def _pool(self, pool: Pool) -> Rows:
        pieces = [self._shards.group(piece.group).take(slice(piece.start, piece.stop)) for piece in pool.pieces]
        return _joined(pieces).take(pool.order)


def _joined(pieces: list[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    return Rows(*(np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("pixels", "targets", "numbers")))


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The items, made by a thread that is a few ahead; its exceptions are raised here."""
    ready: queue.Queue[tuple[str, object]] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def offer(kind: str, value: object) -> None:
        while not stopped.is_set():
            try:
                return ready.put((kind, value), timeout=0.1)
            except queue.Full:
                continue

    def produce() -> None:
        try:
            for item in items:
                offer("item", item)
                if stopped.is_set():
                    return
            offer("end", None)
        except BaseException as error:
            offer("error", error)

    thread = threading.Thread(target=produce, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
