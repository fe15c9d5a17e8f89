"""What a metric is of each user, or of each item, block by block, and what comes of drawing them
again and again.

Before they are rows of a table, the measures of a block of users are a matrix, and beside them are
sums over items. A metric is the mean of its users' values, or of its items', by their weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.blocks import portions, rows_of
from emberline.cf.resampling import Resampled
from emberline.cf.sums import SUMS, encoded
from emberline.numeric import hashing
from emberline.numeric.arrays import Bool, Float64, Int32, Int64
from emberline.numeric.shared import Shared

# users' ids, their values (users, metrics) and weights; or, without ids, sums of block `number`
BLOCKS = pa.schema(
    [
        ("number", pa.int32()),
        ("ids", pa.binary()),
        ("values", pa.binary()),
        ("weights", pa.binary()),
    ]
)
_ROWS = 1 << 19  # that are drawn at a time
Key = tuple[str, str, str]  # report, model, metric


def measures_schema(side: str) -> pa.Schema:
    """A row for each metric of a model and each user, or item (`side`)."""
    names = [("report", pa.string()), ("model", pa.string()), ("metric", pa.string())]
    return pa.schema(
        [*names, (side, pa.int32()), ("value", pa.float64()), ("weight", pa.float64())]
    )


@dataclass(frozen=True)
class Named:
    """Whose values a matrix has: a report, its models by number, the metrics of the columns."""

    report: str
    models: tuple[str, ...]
    metrics: tuple[str, ...]

    @property
    def keys(self) -> list[Key]:
        """One for each model and metric."""
        return [(self.report, model, metric) for model in self.models for metric in self.metrics]


def of_users(number: int, ids: Int32, values: Float64, weights: Float64) -> pa.RecordBatch:
    """BLOCKS: what users (n,) are measured by a model of this number, (n, metrics), NaN where they
    have no value, and how much each counts: (n,).
    """
    arrays = (ids.astype(np.int32), values.astype(np.float64), weights.astype(np.float64))
    row = [[number], *([array.tobytes()] for array in arrays)]
    return pa.record_batch(row, schema=BLOCKS)


def of_sums(number: int, sums: Float64) -> pa.RecordBatch:
    """BLOCKS: sums over items, those of a block of this number."""
    row = [[number], [None], [sums.astype(np.float64).tobytes()], [None]]
    return pa.record_batch(row, schema=BLOCKS)


def sums_only(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """BLOCKS to SUMS of what is summed over items."""
    for batch in batches:
        chosen = batch.filter(batch["ids"].is_null())
        yield pa.record_batch([chosen["number"], chosen["values"]], schema=SUMS)


def users_only(batches: Iterator[pa.RecordBatch], named: Named) -> Iterator[pa.RecordBatch]:
    """BLOCKS to `measures_schema` of users, by model, metric and user."""
    for row in rows_of(batches):
        if row["ids"] is not None:
            ids = np.frombuffer(row["ids"], np.int32)
            weights = np.frombuffer(row["weights"], np.float64)
            values = np.frombuffer(row["values"], np.float64)
            values = values.reshape(len(ids), len(named.metrics))
            yield long_rows(named, named.models[row["number"]], "user", ids, values, weights)


def long_rows(
    named: Named, model: str, side: str, ids: Int32, values: Float64, weights: Float64
) -> pa.RecordBatch:
    """`measures_schema` of a matrix (n, metrics) without what is NaN; weights are (n,) or
    (n, metrics).
    """
    # a batch may have no row, of which -1 could not tell how many columns there are
    of_each = weights.reshape(len(ids), max(1, weights.size // max(1, len(ids))))
    spread = np.broadcast_to(of_each, values.shape).T
    is_there: Bool = ~np.isnan(values.T)
    columns, rows = np.nonzero(is_there)
    metrics = pa.array(named.metrics, pa.string()).take(pa.array(columns))
    same = [pa.repeat(pa.scalar(text, pa.string()), len(rows)) for text in (named.report, model)]
    found = [*same, metrics, ids[rows], values.T[is_there], spread[is_there]]
    return pa.record_batch(found, schema=measures_schema(side))


@dataclass(frozen=True)
class Groups:
    """Ids (n,), ascending, and the number (n,) of the group that each is in, of so many."""

    ids: Int32
    numbers: Int32
    count: int

    def of(self, ids: Int32) -> Int64:
        """The group of each (m,); -1 of one that is in none."""
        places = np.minimum(np.searchsorted(self.ids, ids), max(len(self.ids) - 1, 0))
        if not len(self.ids):
            return np.full(len(ids), -1)
        return np.where(self.ids[places] == ids, self.numbers[places], -1)


@dataclass(frozen=True)
class Draws:
    """Which metrics are drawn (`keys`), how often, and by which seed. Users and items are drawn by
    different hashes, which `seed_of` gives.
    """

    keys: tuple[Key, ...]
    replicates: int
    seed: int

    def seed_of(self, side: str) -> int:
        """Of users or items."""
        return 2 * self.seed + (side == "item")


def resample(
    batches: Iterator[pa.RecordBatch], draws: Draws, groups: Shared | None = None
) -> Iterator[pa.RecordBatch]:
    """`measures_schema` to SUMS: block k is the `Resampled` of one mean, that of the key k; with
    `groups` (Groups), of g groups, block k g + n is that of its units in group n.
    """
    for table in portions(batches, _ROWS):
        side = table.column_names[3]
        found = dict(_resampled(table, draws, draws.seed_of(side), groups))
        if found:
            yield encoded(found)


def _resampled(
    table: pa.Table, draws: Draws, seed: int, groups: Shared | None
) -> Iterator[tuple[int, Float64]]:
    numbers = _key_numbers(table, draws.keys)
    ids, values, weights = (table.column(at).to_numpy() for at in (3, 4, 5))
    group = np.zeros(len(ids), np.int64) if groups is None else groups.value.of(ids)
    count = 1 if groups is None else groups.value.count
    for which in range(count):
        chosen = (numbers >= 0) & (group == which)
        for number, vector in _of_units(
            numbers[chosen], ids[chosen], values[chosen], weights[chosen], draws, seed
        ):
            yield number * count + which, vector


def _of_units(
    numbers: Int64, ids: Int32, values: Float64, weights: Float64, draws: Draws, seed: int
) -> Iterator[tuple[int, Float64]]:
    keys, columns = np.unique(numbers, return_inverse=True)
    units, rows = np.unique(ids, return_inverse=True)
    theirs, counts = (np.zeros((len(units), len(keys))) for _ in range(2))
    theirs[rows, columns], counts[rows, columns] = values, weights
    bits = hashing.of_ids(units.astype(np.int32), seed)
    vectors = Resampled.of(bits, theirs, counts, draws.replicates).to_vectors()
    yield from zip(keys.tolist(), vectors, strict=True)


def _key_numbers(table: pa.Table, keys: Sequence[Key]) -> Int64:
    """The place of each row's report, model and metric among the keys: (n,); -1 of others."""
    found = np.zeros(table.num_rows, np.int64)
    places = np.zeros(len(keys), np.int64)
    is_known: Bool = np.ones(table.num_rows, bool)
    for column in range(3):
        names = pa.array(sorted({key[column] for key in keys}), pa.string())
        number = pc.index_in(table.column(column), names).fill_null(-1).to_numpy()
        own = pc.index_in(pa.array([key[column] for key in keys], pa.string()), names).to_numpy()
        is_known &= number >= 0
        found, places = found * len(names) + number, places * len(names) + own
    return np.where(is_known, _position(places, found), -1)


def _position(places: Int64, wanted: Int64) -> Int64:
    """Where each of the wanted numbers stands among different places; -1 where it does not."""
    order = np.argsort(places)
    at = np.minimum(np.searchsorted(places[order], wanted), len(places) - 1)
    return np.where(places[order][at] == wanted, order[at], -1)
