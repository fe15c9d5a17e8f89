"""Predicted ratings of a block of users against those that were withheld: each user's errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf import measures
from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries, places_in
from emberline.numeric.arrays import Float64

RATED = "rated"


@dataclass(frozen=True)
class Scale:
    """The least and the largest rating there may be, to which predictions are clipped."""

    least: float
    largest: float


def measure(
    pieces: Iterator[pa.RecordBatch], models: int, fallback: int, scale: Scale
) -> Iterator[pa.RecordBatch]:
    """PIECES of kind RATED, ratings withheld, and of the kinds "0", "1", ..., what so many models
    predict, those of a block after each other, to measures.BLOCKS.

    A user's values are the means of squared and of absolute errors, and the weight is how many
    ratings these are of. The sum of block n is how many ratings model n has no answer for, which
    `fallback` gives then.
    """
    missing = np.zeros(models)
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        found = list(group)
        rated = Entries.decoded(piece for piece in found if piece["kind"] == RATED)
        if not len(rated.rows):
            continue
        rated = rated.take(np.lexsort((rated.columns, rated.rows)))
        kinds = (
            [piece for piece in found if piece["kind"] == str(model)] for model in range(models)
        )
        answers = [_answers(rated, Entries.decoded(kind)) for kind in kinds]
        for model, answer in enumerate(answers):
            is_missing = np.isnan(answer)
            missing[model] += is_missing.sum()
            filled = np.where(is_missing, answers[fallback], answer)
            yield _of_model(model, rated, np.clip(filled, scale.least, scale.largest))
    for model in range(models):
        yield measures.of_sums(model, missing[model : model + 1])


def _of_model(number: int, rated: Entries, predicted: Float64) -> pa.RecordBatch:
    users, rows, counts = np.unique(rated.rows, return_inverse=True, return_counts=True)
    errors = predicted - rated.values
    means = [np.bincount(rows, each) / counts for each in (errors**2, np.abs(errors))]
    return measures.of_users(number, users, np.column_stack(means), counts.astype(float))


def _answers(rated: Entries, predicted: Entries) -> Float64:
    """What is predicted of each withheld rating (n,), NaN where nothing is."""
    keys, wanted = (
        (entries.rows.astype(np.int64) << 32) | entries.columns for entries in (rated, predicted)
    )
    found = np.full(len(keys), np.nan)
    places = places_in(keys, wanted)
    found[places[places >= 0]] = predicted.values[places >= 0]
    return found
