"""Pairs of user and item that are in two sets, of which each was to be in one."""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.cf.entries import Entries
from emberline.numeric.arrays import Int64

TRAINED, HELD = "trained", "held"
PAIRS = pa.schema([("user", pa.int32()), ("item", pa.int32())])


def in_both(pieces: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """PIECES of kind TRAINED and HELD, those of a block after each other, to PAIRS: the first one
    of each block that is of both kinds.
    """
    for _, group in groupby(rows_of(pieces), itemgetter("block")):
        found = list(group)
        trained, held = (
            _pairs(Entries.decoded(piece for piece in found if piece["kind"] == kind))
            for kind in (TRAINED, HELD)
        )
        both = np.intersect1d(trained, held)[:1]
        if len(both):
            users, items = (both >> 32).astype(np.int32), both.astype(np.int32)
            yield pa.record_batch([users, items], schema=PAIRS)


def _pairs(entries: Entries) -> Int64:
    return (entries.rows.astype(np.int64) << 32) | entries.columns
