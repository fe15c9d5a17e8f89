"""How many items score above a wanted one, and how many like it: places in a ranking that nobody
writes down.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import (
    decode,
    product,
    rows_of,
)
from emberline.numeric.arrays import Float32, Int64

PLACES = pa.schema(
    [
        ("model", pa.string()),
        ("user", pa.int32()),
        ("item", pa.int32()),
        ("above", pa.int64()),
        ("equal", pa.int64()),
    ]
)
WANTED = "wanted_"
_TIE = 1e-6  # scores this near to each other, as shares of the larger of 1 and the score, are equal
RIGHT = "right_"


def count_places(pairs: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """For each wanted entry of a user block, how many columns of an item block score above it, and
    how many like it.

    A pair has BLOCKS' columns, with WANTED before their names (a sparse block: users, items and
    their scores), with RIGHT, and a model. An entry whose own item is in the item block is
    counted among those that score like it.
    """
    for pair in rows_of(pairs):
        left, right, wanted = decode(pair), decode(pair, RIGHT), decode(pair, WANTED)
        scores = np.sort(product(left, right), axis=1)[np.searchsorted(left.ids, wanted.ids)]
        places = [
            _places(row, own)
            for row, own in zip(scores, np.split(wanted.values, wanted.indptr[1:-1]), strict=True)
        ]
        above, equal = (np.concatenate(counts) for counts in zip(*places, strict=True))
        users = np.repeat(wanted.ids, np.diff(wanted.indptr))
        yield pa.record_batch(
            [[pair["model"]] * len(users), users, wanted.indices, above, equal], schema=PLACES
        )


def _places(ascending: Float32, scores: Float32) -> tuple[Int64, Int64]:
    """For each of one user's scores (n,), how many of all its scores (m,) are above, and how
    many equal.
    """
    width = _TIE * np.maximum(1, np.abs(scores))
    first, after = (
        np.searchsorted(ascending, scores - width, "left"),
        np.searchsorted(ascending, scores + width, "right"),
    )
    return len(ascending) - after, after - first
