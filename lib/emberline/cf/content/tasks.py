"""What is done to parts of items, or users: brought together with their factors, summed up, drawn,
and predicted.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.blocks import matrix_of
from emberline.cf.content import regression
from emberline.cf.content.calibration import Calibration
from emberline.cf.content.columns import LABELS, LISTS, TEXTS, Columns
from emberline.cf.content.features import sum_up
from emberline.cf.content.model import Nystrom
from emberline.cf.facts import known_schema
from emberline.cf.ridge import Moments
from emberline.cf.sums import encoded
from emberline.numeric import hashing
from emberline.numeric.shared import Shared

_SAID = {
    **dict.fromkeys((*TEXTS, *LABELS), pa.string()),
    **dict.fromkeys(LISTS, pa.list_(pa.string())),
    "numbers": pa.list_(pa.float64()),
    "categories": pa.list_(pa.string()),
    "lists": pa.list_(pa.list_(pa.string())),
}
ATTRIBUTES = (*_SAID,)
SAID = pa.schema(_SAID)
KNOWN = known_schema(SAID)


def sum_statistics(batches: Iterator[pa.RecordBatch], columns: Columns) -> Iterator[pa.RecordBatch]:
    """KNOWN to SUMS: block 0 is what `features.statistics_of` takes."""
    found = None
    for batch in batches:
        sums = sum_up(batch, columns)
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


def of_drawn(
    batches: Iterator[pa.RecordBatch], share: float, seed: int
) -> Iterator[pa.RecordBatch]:
    """The rows of about that share of ids, whose column is the first."""
    for batch in batches:
        bits = hashing.of_ids(batch.column(0).to_numpy(), seed)
        yield batch.filter(pa.array(hashing.below(bits, share)))


def sum_moments(batches: Iterator[pa.RecordBatch], fit: Shared) -> Iterator[pa.RecordBatch]:
    """KNOWN to SUMS: block 0 is the moments of those that have factors, flat; `fit` is a
    `model.Nystrom`.
    """
    found: Moments | None = None
    for batch in batches:
        rows = batch.filter(batch["factors"].is_valid())
        if rows.num_rows:
            each = moments(rows, fit.value)
            found = each if found is None else found.merge(each)
    if found is not None:
        yield encoded({0: found.flat()})


def moments(rows: pa.RecordBatch, fit: Nystrom) -> Moments:
    """Of KNOWN that have factors."""
    targets = matrix_of(rows["factors"], rows.num_rows)
    weights = regression.weights_of(rows["ratings"].to_numpy())
    return Moments.of(fit.features(rows), targets, weights)


def calibrate(
    batches: Iterator[pa.RecordBatch], calibration: Calibration
) -> Iterator[pa.RecordBatch]:
    """Columns item and factors, those calibrated."""
    for batch in batches:
        if batch.num_rows:
            factors = calibration.factors(matrix_of(batch["factors"], batch.num_rows))
            yield pa.record_batch([batch["item"], list(factors)], schema=batch.schema)


def predict(
    batches: Iterator[pa.RecordBatch], model: Shared, name: str, schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """KNOWN to a model's name, an id and factors: of every id that something is said of."""
    for batch in batches:
        if batch.num_rows:
            predicted = list(model.value.predict(batch))
            columns: list[Any] = [[name] * batch.num_rows, batch["id"], predicted]
            yield pa.record_batch(columns, schema=schema)
