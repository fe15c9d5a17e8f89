"""What is done to parts of items, or users: brought together with their factors, summed up, drawn,
and predicted.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.blocks import matrix_of
from emberline.cf.content import regression
from emberline.cf.content.features import Features, Statistics, features_of, sum_up
from emberline.cf.content.kernels import mean_kernel
from emberline.cf.content.regression import Root
from emberline.cf.entries import places_in
from emberline.cf.ridge import Moments
from emberline.cf.sums import encoded
from emberline.numeric import hashing
from emberline.numeric.arrays import Float32, Float64
from emberline.numeric.shared import Shared

IDS_PER_BLOCK = 4096
_ROWS = 4096  # whose kernels are in memory at a time
TEXTS, LISTS = ("title", "text", "label"), ("genres", "tags")
_SAID = {
    **dict.fromkeys(TEXTS, pa.string()),
    **dict.fromkeys(LISTS, pa.list_(pa.string())),
    "numbers": pa.list_(pa.float64()),
}
ATTRIBUTES = (*_SAID,)
# a row of each: what is said of an id, its factors, how often it was rated
FACTS = pa.schema(
    [
        ("block", pa.int32()),
        ("id", pa.int32()),
        ("is_said", pa.bool_()),
        *_SAID.items(),
        ("factors", pa.list_(pa.float32())),
        ("ratings", pa.int64()),
    ]
)
# all of them of an id that something is said of; factors are missing where it has none
KNOWN = pa.schema([field for field in FACTS if field.name not in ("block", "is_said")])
PREDICTED = pa.schema(
    [("model", pa.string()), ("item", pa.int32()), ("factors", pa.list_(pa.float32()))]
)


@dataclass(frozen=True)
class Model:
    """What predicts factors: how features are made of what is said, the landmarks' own (m), the
    weight of each kernel, and what makes factors of being like the landmarks.
    """

    names: tuple[str, ...]  # of the numbers
    known: Statistics
    landmarks: Features
    blocks: tuple[str, ...]
    root: Root

    def features(self, rows: pa.RecordBatch) -> Float32:
        """(n, k) of rows of attributes."""
        kernels = mean_kernel(
            dict.fromkeys(self.blocks, 1.0),
            features_of(rows, self.names, self.known),
            self.landmarks,
            self.known,
        )
        return self.root.features(kernels)


def as_facts(batches: Iterator[pa.RecordBatch], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Columns id and those of some names to FACTS, empty otherwise."""
    for batch in batches:
        ids = batch.column(0)
        given = {
            "block": ids.to_numpy() // IDS_PER_BLOCK,
            "id": ids,
            "is_said": np.full(len(ids), "numbers" in names),
            **dict(zip(names, batch.columns[1:], strict=True)),
        }
        columns = [given.get(field.name, pa.nulls(len(ids), field.type)) for field in FACTS]
        yield pa.record_batch(columns, schema=FACTS)


def gather(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """FACTS, all of an id, to KNOWN, in the order of ids, some thousands at a time."""
    table = pa.Table.from_batches(list(batches), FACTS).combine_chunks()
    said = table.filter(table["is_said"]).sort_by("id")
    ids = said["id"].to_numpy()
    factors, counts = (table.filter(table[name].is_valid()) for name in ("factors", "ratings"))
    factors = factors.sort_by("id")
    places = places_in(factors["id"].to_numpy(), ids)
    own = factors["factors"].combine_chunks().take(pa.array(places, mask=places < 0))
    at = places_in(ids, counts["id"].to_numpy())
    known = at >= 0
    ratings = np.bincount(at[known], counts["ratings"].to_numpy()[known], len(ids))
    given = {name: said[name] for name in said.column_names}
    given |= {"factors": own, "ratings": pa.array(ratings.astype(np.int64))}
    whole = pa.table([given[field.name] for field in KNOWN], schema=KNOWN)
    yield from whole.to_batches(max_chunksize=_ROWS)


def sum_statistics(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """KNOWN to SUMS: block 0 is what `features.statistics_of` takes."""
    found = None
    for batch in batches:
        sums = sum_up(batch)
        found = sums if found is None else found + sums
    if found is not None:
        yield encoded({0: found})


def draw(
    batches: Iterator[pa.RecordBatch], count: int, least_ratings: int, seed: int
) -> Iterator[pa.RecordBatch]:
    """Of KNOWN the rows that have factors and so many ratings at least: those so many whose hashes
    are the smallest.
    """
    rows = pa.Table.from_batches(list(batches), KNOWN)
    enough = pc.greater_equal(rows["ratings"], least_ratings)
    fit = rows.filter(pc.and_(rows["factors"].is_valid(), enough))
    order = np.argsort(hashing.of_ids(fit["id"].to_numpy(), seed), kind="stable")[:count]
    yield from fit.take(np.sort(order)).combine_chunks().to_batches()


def of_drawn_users(
    batches: Iterator[pa.RecordBatch], share: float, seed: int
) -> Iterator[pa.RecordBatch]:
    """The rows of about that share of users, whose column is the first."""
    for batch in batches:
        bits = hashing.of_ids(batch.column(0).to_numpy(), seed)
        yield batch.filter(pa.array(hashing.below(bits, share)))


def sum_moments(batches: Iterator[pa.RecordBatch], model: Shared) -> Iterator[pa.RecordBatch]:
    """KNOWN to SUMS: block 0 is the moments of those that have factors, flat; see `moments_of`."""
    found: Float64 | None = None
    for batch in batches:
        rows = batch.filter(batch["factors"].is_valid())
        if rows.num_rows:
            targets = matrix_of(rows["factors"], rows.num_rows)
            weights = regression.weights_of(rows["ratings"].to_numpy())
            each = Moments.of(model.value.features(rows), targets, weights)
            sums = np.concatenate([[each.count], each.xx.ravel(), each.xy.ravel(), each.yy])
            found = sums if found is None else found + sums
    if found is not None:
        yield encoded({0: found})


def moments_of(sums: Float64, rank: int) -> Moments:
    """What `sum_moments` has summed up, of factors of this rank."""
    # 1 + d^2 + d rank + rank numbers
    width = round((-rank + np.sqrt(rank**2 + 4 * (len(sums) - 1 - rank))) / 2)
    xx, xy, yy = np.split(sums[1:], [width**2, width**2 + width * rank])
    return Moments(int(sums[0]), xx.reshape(width, width), xy.reshape(width, rank), yy)


def predict(
    batches: Iterator[pa.RecordBatch], model: Shared, weights: Float64, name: str
) -> Iterator[pa.RecordBatch]:
    """KNOWN to PREDICTED: of every id that something is said of."""
    for batch in batches:
        if batch.num_rows:
            predicted = regression.predict(model.value.features(batch), weights)
            columns: list[Any] = [[name] * batch.num_rows, batch["id"], list(predicted)]
            yield pa.record_batch(columns, schema=PREDICTED)
