"""Batches of pictures from shards, in the order that `datasets.sharding` gives, read ahead with
bounded memory.

Threads read the row groups of a pool and put each row where the pool's permutation wants it;
another cuts the pools' rows into batches, some megabytes at a time. A stream holds two pools at
most: the one that is taken from, and the next.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from emberline.cnn.ahead import Ahead
from emberline.cnn.augmentation import augmentation_of
from emberline.cnn.shards import Rows, Shards, Targets
from emberline.datasets.sharding import Piece, Plan, Pool
from emberline.images.pixels import Pixels, row_keys
from emberline.numeric.arrays import Array, Float32, Int64
from emberline.sections.cnn import InputConfig

_BLOCK_BYTES = 4 << 20
_BLOCKS_AHEAD = 1


@dataclass(frozen=True)
class Batch:
    """One replica's part of a global batch; weights (n,) are 0 for rows that only fill it,
    `total` is the global batch's sum.
    """

    pixels: Pixels
    targets: Targets
    weights: Float32
    total: float


class Reader:
    """The share of some replicas in every epoch, from any step on, the same whenever it is
    asked for.
    """

    def __init__(
        self,
        shards: Shards,
        config: InputConfig,
        seed: int,
        target_of: Callable[[Targets], Targets] = np.asarray,
    ) -> None:
        self.plan = Plan(
            shards.group_rows, seed, config.global_batch_size, config.streams, config.pool
        )
        self.shards = shards
        self._config = config
        self._target_of = target_of
        self._augment = augmentation_of(shards.dataset.manifest, config)
        self._rooms: list[Rows] = []

    def batches(
        self, epoch: int, start: int, replicas: int, served: Sequence[int] | None = None
    ) -> Ahead[list[Batch]]:
        """From step `start` of the epoch on, each global batch's part for each of the replicas
        `served` (all, by default).

        Reading begins at once. Close what is returned, unless it is used up.
        """
        of = [
            self.plan.streams_of(replica, replicas)
            for replica in (range(replicas) if served is None else served)
        ]
        return Ahead(self._batches(epoch, start, of), self._block_steps(of) * _BLOCKS_AHEAD)

    def room(self) -> Rows:
        """Memory for a pool's rows, used again where there is some: new pages cost a fifth of
        reading into them.
        """
        return (
            self._rooms.pop()
            if self._rooms
            else self.shards.empty(self.plan.pool * max(self.plan.group_rows))
        )

    def give_back(self, room: Rows) -> None:
        """Let another pool use this memory."""
        self._rooms.append(room)

    def _block_steps(self, of: Sequence[range]) -> int:
        """How many batches are cut at once."""
        rows = self.plan.stream_batch_size * sum(map(len, of))
        return max(1, _BLOCK_BYTES // (rows * int(np.prod(self.shards.shape))))

    def _batches(self, epoch: int, start: int, of: Sequence[range]) -> Iterator[list[Batch]]:
        streams = [stream for mine in of for stream in mine]
        ends = np.cumsum([0, *map(len, of)]) * self.plan.stream_batch_size
        cuts = [slice(*ends_of) for ends_of in pairwise(ends)]
        threads = ThreadPoolExecutor(self._config.reader_threads)
        taken = [_Stream(self, epoch, stream, start, threads) for stream in streams]
        try:
            for first in range(start, self.plan.steps, self._block_steps(of)):
                steps = min(self._block_steps(of), self.plan.steps - first)
                block = self._block(epoch, first, steps, streams, taken)
                for number, total in enumerate(self.plan.totals(first, steps).tolist()):
                    pixels, targets, weights = (array[number] for array in block)
                    yield [
                        Batch(pixels[cut], targets[cut], weights[cut], float(total)) for cut in cuts
                    ]
        finally:
            threads.shutdown(cancel_futures=True)
            for stream in taken:
                stream.close()

    def _block(
        self, epoch: int, first: int, steps: int, streams: list[int], taken: "list[_Stream]"
    ) -> list[Array]:
        """Pixels, targets and weights (steps, rows of a batch, ...), stream after stream within
        each step.
        """
        size = self.plan.stream_batch_size
        pixels = np.empty((steps, len(streams), size, *self.shards.shape), np.uint8)
        targets = np.empty(
            (steps, len(streams), size, *self.shards.target_shape), self.shards.target_type
        )
        numbers = np.empty((steps, len(streams), size), np.int64)
        weights = np.empty((steps, len(streams), size), np.float32)
        for place, stream in enumerate(streams):
            weights[:, place] = self.plan.weights(stream, first, steps)
            taken[place].fill(Rows(pixels[:, place], targets[:, place], numbers[:, place]))
        keys = row_keys(self.plan.seed, epoch, numbers.ravel())
        changed = self._augment(pixels.reshape(-1, *self.shards.shape), keys)
        wanted = self._target_of(targets.reshape(-1, *self.shards.target_shape))
        return [
            array.reshape(steps, len(streams) * size, *array.shape[1:])
            for array in (changed, wanted, weights.ravel())
        ]


class _Stream:
    """A stream's rows in the order of an epoch, from a step on; what has no rows left gives the
    first row of all again.
    """

    def __init__(
        self, reader: Reader, epoch: int, stream: int, start: int, threads: ThreadPoolExecutor
    ) -> None:
        self._reader = reader
        self._threads = threads
        self._pools = reader.plan.pools(epoch, stream, start * reader.plan.stream_batch_size)
        self._pool: _Permuted | None = None
        self._rows = reader.shards.empty(0)
        self._next = self._begin()

    def fill(self, rows: Rows) -> None:
        """Overwrite arrays (steps, rows of a step, ...) with the next rows."""
        steps, size = rows.numbers.shape
        done = 0
        while done < steps * size:
            found = self._take(steps * size - done)
            _place(rows.pixels, done, found.pixels)
            _place(rows.targets, done, found.targets)
            _place(rows.numbers, done, found.numbers)
            done += len(found)

    def _take(self, count: int) -> Rows:
        """Up to `count` of the next rows, which are overwritten some time after the next call."""
        if len(self._rows) == 0:
            self._turn(count)
        found, self._rows = self._rows.take(slice(0, count)), self._rows.take(slice(count, None))
        return found

    def close(self) -> None:
        """Give back what memory is held; nobody reads into it any more."""
        for pool in (self._pool, self._next):
            if pool:
                self._reader.give_back(pool.room)

    def _turn(self, count: int) -> None:
        """Go on to the next pool, and begin to read the one after it where this one was."""
        if self._pool:
            self._reader.give_back(self._pool.room)
        self._pool, self._next = self._next, None
        self._rows = self._pool.rows() if self._pool else self._reader.shards.repeated_first(count)
        self._next = self._begin()

    def _begin(self) -> "_Permuted | None":
        pool = next(self._pools, None)
        return (
            None
            if pool is None
            else _Permuted(self._reader.shards, pool, self._reader.room(), self._threads)
        )


class _Permuted:
    """A pool whose row groups are being read, each by a thread that puts its rows where the
    pool's order wants them.
    """

    def __init__(self, shards: Shards, pool: Pool, room: Rows, threads: ThreadPoolExecutor) -> None:
        count = len(pool.order)
        places = np.full(sum(map(len, pool.pieces)), -1)
        places[pool.order] = np.arange(count)
        begins = np.cumsum([0, *map(len, pool.pieces)])
        self.room = room
        self._found = room.take(slice(0, count))
        self._readings: list[Future[None]] = [
            threads.submit(self._read, shards, piece, places[begin:end])
            for piece, (begin, end) in zip(pool.pieces, pairwise(begins), strict=True)
        ]

    def rows(self) -> Rows:
        """All rows, when they are there."""
        for reading in self._readings:
            reading.result()
        return self._found

    def _read(self, shards: Shards, piece: Piece, places: Int64) -> None:
        rows, found = shards.group(piece.group).take(slice(piece.start, piece.stop)), self._found
        if (places < 0).any():  # of a pool that is entered in its middle
            rows, places = rows.take(places >= 0), places[places >= 0]
        found.pixels[places], found.targets[places], found.numbers[places] = (
            rows.pixels,
            rows.targets,
            rows.numbers,
        )


def _place(whole: Array, at: int, part: Array) -> None:
    """Write rows `part` (n, ...) into `whole` (steps, size, ...), from the step and row on that
    `at` says.
    """
    size = whole.shape[1]
    step, within = divmod(at, size)
    head = min(-at % size, len(part))
    whole[step, within : within + head] = part[:head]
    step += within > 0
    steps = (len(part) - head) // size
    whole[step : step + steps] = part[head : head + steps * size].reshape(steps, *whole.shape[1:])
    rest = part[head + steps * size :]
    if len(rest):
        whole[step + steps, : len(rest)] = rest
