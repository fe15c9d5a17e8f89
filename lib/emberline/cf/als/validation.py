"""Ratings for validation, to compare iterations of alternating least squares by.

Explicit feedback is measured by the RMSE of predictions. Implicit feedback by AUC: how often such
an item of a user scores above an item drawn from those that the user has not rated; of the measures
that can be taken on drawn items, it alone has the value that it has on all items (Krichene and
Rendle 2020).
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf.entries import Entries, read
from emberline.numeric import hashing
from emberline.numeric.arrays import Int32

RATINGS = pa.schema([("user", pa.int32()), ("item", pa.int32()), ("value", pa.float32())])


def sample(batches: Iterator[pa.RecordBatch], share: float, seed: int) -> Iterator[pa.RecordBatch]:
    """Columns user, item and value to RATINGS, of about that share of the users: by hashes, so that
    it is the same ones at every scan.
    """
    for ratings in read(batches):
        yield _batch(ratings.take(hashing.below(hashing.of_ids(ratings.rows, seed), share)))


def of_users(batches: Iterator[pa.RecordBatch], users: Int32) -> Iterator[pa.RecordBatch]:
    """Columns user, item and value to RATINGS, of these users."""
    for ratings in read(batches):
        yield _batch(ratings.take(np.isin(ratings.rows, users)))


def _batch(ratings: Entries) -> pa.RecordBatch:
    return pa.record_batch([ratings.rows, ratings.columns, ratings.values], schema=RATINGS)
