"""Which rows of a set of shards come when: pure arithmetic, the same for any number of replicas.

An epoch's order is a function of (rows of the row groups, seed, epoch). The row groups are
permuted; the row sequence that results is cut into C streams, stream s from floor(s N / C) on;
within a stream, every `pool` pieces of row groups are permuted row by row. A global batch of B
takes B / C rows of each stream, and replica r serves the streams s with s mod R = r. What a stream
that has run out lacks is filled with rows of weight 0, so that all replicas take the same number of
steps and every row counts exactly once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emberline.errors import ConfigError
from emberline.numeric.arrays import Float32, Int64

GROUP_ROWS, GROUP_BYTES = 1000, 4 << 20  # of a row group of shards, at most
# what is drawn: NumPy takes a list of seeds and the same list with zeros at its end for one
_GROUPS, _POOLS = 1, 2


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` (exclusive) of the row group numbered `group`."""

    group: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True)
class Pool:
    """Consecutive pieces of a stream, and the order in which their rows are taken: indices into
    the pieces in a row.
    """

    pieces: tuple[Piece, ...]
    order: Int64


@dataclass(frozen=True)
class Plan:
    """How epochs are cut. `group_rows`: rows of each row group, over all parts in the
    manifest's order.
    """

    group_rows: tuple[int, ...]
    seed: int
    global_batch_size: int
    streams: int = 8
    pool: int = 4

    @cached_property
    def rows(self) -> int:
        return sum(self.group_rows)

    @property
    def stream_batch_size(self) -> int:
        """Rows that a global batch takes of each stream."""
        return self.global_batch_size // self.streams

    @property
    def steps(self) -> int:
        """Global batches of an epoch."""
        return -(-self._longest // self.stream_batch_size)

    @property
    def _longest(self) -> int:
        return -(-self.rows // self.streams)

    def streams_of(self, replica: int, replicas: int) -> range:
        """The streams that a replica serves. Raises ConfigError where they cannot be shared out
        equally.
        """
        if self.streams % replicas:
            raise ConfigError(
                f"{replicas} replicas cannot share {self.streams} streams equally; change one of"
                " the numbers"
            )
        return range(replica, self.streams, replicas)

    def stream_rows(self, stream: int) -> int:
        """How many rows a stream has; they differ by one at most."""
        return (stream + 1) * self.rows // self.streams - stream * self.rows // self.streams

    def pools(self, epoch: int, stream: int, position: int = 0) -> Iterator[Pool]:
        """A stream's rows in the order of this epoch, from its row number `position` on;
        nothing is computed for those before.
        """
        pieces = self._pieces(epoch, stream)
        for number, first in enumerate(range(0, len(pieces), self.pool)):
            pool = tuple(pieces[first : first + self.pool])
            rows = sum(map(len, pool))
            if position < rows:
                order = np.random.default_rng(
                    [self.seed, epoch, _POOLS, stream, number]
                ).permutation(rows)
                yield Pool(pool, order[position:])
            position = max(0, position - rows)

    def weights(self, stream: int, start: int, steps: int) -> Float32:
        """(steps, stream batch size): 1 for each row that the stream has in these steps, 0 for
        what only fills them.
        """
        size = self.stream_batch_size
        places = np.arange(start * size, (start + steps) * size)
        return (places < self.stream_rows(stream)).astype(np.float32).reshape(steps, size)

    def totals(self, start: int, steps: int) -> Int64:
        """(steps,): how many rows count in each global batch, over all streams: the sum of its
        weights.
        """
        ends = np.arange(start, start + steps + 1)[:, None] * self.stream_batch_size
        taken = np.minimum(ends, [self.stream_rows(stream) for stream in range(self.streams)])
        totals: Int64 = np.diff(taken.sum(axis=1))
        return totals

    def groups_at(self, epoch: int, step: int) -> list[int]:
        """The row groups from which a global batch takes rows, in ascending order."""
        return sorted(
            {
                group
                for stream in range(self.streams)
                for group in self._groups_at(epoch, step, stream)
            }
        )

    def _groups_at(self, epoch: int, step: int, stream: int) -> Iterator[int]:
        wanted = self.stream_batch_size
        for pool in self.pools(epoch, stream, step * wanted):
            groups = np.repeat(
                [piece.group for piece in pool.pieces], [len(piece) for piece in pool.pieces]
            )
            yield from groups[pool.order[:wanted]].tolist()
            wanted -= len(pool.order)
            if wanted <= 0:
                return

    def _pieces(self, epoch: int, stream: int) -> list[Piece]:
        """The parts of permuted row groups between the stream's two cuts."""
        groups = np.random.default_rng([self.seed, epoch, _GROUPS]).permutation(
            len(self.group_rows)
        )
        sizes = np.asarray(self.group_rows, np.int64)[groups]
        begins = np.cumsum(sizes) - sizes
        first, last = (cut * self.rows // self.streams for cut in (stream, stream + 1))
        starts, stops = np.clip(first - begins, 0, sizes), np.clip(last - begins, 0, sizes)
        return [
            Piece(int(group), int(start), int(stop))
            for group, start, stop in zip(groups, starts, stops, strict=True)
            if stop > start
        ]


def groups_of(parts: Sequence[tuple[int, int]], group_rows: int) -> tuple[int, ...]:
    """The rows of each row group of parts given as (rows, row groups), all groups but a part's last
    having `group_rows`.

    Raises ConfigError where a part cannot be cut like that.
    """
    found: list[int] = []
    for rows, groups in parts:
        if rows == groups == 0:
            continue
        last = rows - (groups - 1) * group_rows
        if not 0 < last <= group_rows:
            raise ConfigError(
                f"{rows} rows in {groups} row groups are not cut every {group_rows} rows; rerun"
                " export-shards"
            )
        found += [group_rows] * (groups - 1) + [last]
    return tuple(found)
