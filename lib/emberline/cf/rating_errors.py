"""Predicted ratings of a block of users against those that were withheld: sums of errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries, places_in
from emberline.cf.metrics import Sums
from emberline.cf.sums import encoded
from emberline.numeric.arrays import Float64

RATED = "rated"


@dataclass(frozen=True)
class Scale:
    """The least and the largest rating there may be, to which predictions are clipped."""

    least: float
    largest: float


def sum_errors(
    pieces: Iterator[pa.RecordBatch], models: int, fallback: int, scale: Scale
) -> Iterator[pa.RecordBatch]:
    """PIECES of kind RATED, ratings withheld, and of the kinds "0", "1", ..., what so many models
    predict, those of a block after each other, to SUMS.

    Block n is of model n: how many it has no answer for, which `fallback` gives then, and the
    `Sums` of squared and absolute errors.
    """
    totals: dict[int, Float64] = {}
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        for model, vector in enumerate(_of_block(list(group), models, fallback, scale)):
            totals[model] = totals[model] + vector if model in totals else vector
    if totals:
        yield encoded(totals)


def sums_of(vector: Float64) -> tuple[int, Sums]:
    """How many ratings a model has no answer for, and the sums of its errors."""
    return int(vector[0]), Sums.from_vector(vector[1:])


def _of_block(
    found: list[dict[str, Any]], models: int, fallback: int, scale: Scale
) -> Iterator[Float64]:
    rated = Entries.decoded(piece for piece in found if piece["kind"] == RATED)
    if not len(rated.rows):
        return
    rated = rated.take(np.lexsort((rated.columns, rated.rows)))
    answers = [
        _answers(rated, Entries.decoded(piece for piece in found if piece["kind"] == str(model)))
        for model in range(models)
    ]
    for answer in answers:
        is_missing = np.isnan(answer)
        filled = np.where(is_missing, answers[fallback], answer)
        errors = np.clip(filled, scale.least, scale.largest) - rated.values
        sums = Sums.of(np.column_stack([errors**2, np.abs(errors)]))
        yield np.concatenate([[is_missing.sum()], sums.to_vector()])


def _answers(rated: Entries, predicted: Entries) -> Float64:
    """What is predicted of each withheld rating (n,), NaN where nothing is."""
    keys, wanted = (
        (entries.rows.astype(np.int64) << 32) | entries.columns for entries in (rated, predicted)
    )
    found = np.full(len(keys), np.nan)
    places = places_in(keys, wanted)
    found[places[places >= 0]] = predicted.values[places >= 0]
    return found
