"""What pairs deviate by, from their neighbours in blocks of columns."""

from dataclasses import fields, replace
from itertools import groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import rows_of
from emberline.cf.cosine import similarity as cosine
from emberline.cf.cosine.compressed import (
    COMPRESSED,
    RIGHT,
    Batches,
    Compressed,
    decoded,
    matrix_of,
    unit_rows,
)
from emberline.cf.cosine.neighborhood import Neighborhood, Rated, Rule, weighted_means
from emberline.cf.entries import Entries
from emberline.numeric.arrays import Int32

_PAIRS = 1 << 16  # whose neighbours are in memory, and travel, at a time
PAIRS = pa.schema([("block", pa.int32()), ("targets", pa.binary()), ("owners", pa.binary())])
WANTING = pa.schema([*COMPRESSED, *PAIRS.remove(0)])
RATED = pa.schema(
    [
        ("block", pa.int32()),
        ("start", pa.int64()),
        ("targets", pa.binary()),
        ("owners", pa.binary()),
    ]
    + [(field.name, pa.binary()) for field in fields(Rated)]
)
DEVIATIONS = pa.schema([("target", pa.int32()), ("owner", pa.int32()), ("deviation", pa.float32())])


def gather(pieces: Batches) -> Batches:
    """All PIECES of pairs (target, owner) of one block to one row of PAIRS, in the order of
    targets and owners.
    """
    found = list(rows_of(pieces))
    if found:
        pairs = Entries.decoded(found)
        pairs = pairs.take(np.lexsort((pairs.columns, pairs.rows)))
        arrays = pairs.rows.tobytes(), pairs.columns.tobytes()
        yield pa.record_batch([[found[0]["block"]], *([array] for array in arrays)], schema=PAIRS)


def widened(rows: Batches) -> Batches:
    """COMPRESSED, or PAIRS, to WANTING, empty where they have no columns."""
    for batch in rows:
        nothing = pa.nulls(batch.num_rows, pa.binary())
        columns = [
            batch.column(name) if name in batch.schema.names else nothing for name in WANTING.names
        ]
        yield pa.record_batch(columns, schema=WANTING)


def beside_pairs(rows: Batches) -> Batches:
    """WANTING of one block, its rows of targets and its pairs, to one row that has both, if there
    are both.
    """
    table = pa.Table.from_batches(list(rows), WANTING)
    found = [table[name].drop_null() for name in WANTING.names]
    if all(len(column) for column in found):
        yield pa.record_batch([column.combine_chunks()[:1] for column in found], schema=WANTING)


def look_up(cells: Batches, rule: Rule) -> Batches:
    """The neighbours of a block's pairs among a block's columns: COMPRESSED, PAIRS and RIGHT
    columns to rows of RATED.
    """
    for cell in rows_of(cells):
        rows, columns = decoded(Compressed, cell), decoded(Compressed, cell, RIGHT)
        targets, owners = (np.frombuffer(cell[name], np.int32) for name in ("targets", "owners"))
        known = _neighborhood(rows, columns)
        for start in range(0, len(targets), _PAIRS):
            some = slice(start, start + _PAIRS)
            found = known.nearest(owners[some], targets[some], rule)
            yield _rated(cell["block"], start, targets[some], owners[some], found)


def _neighborhood(rows: Compressed, columns: Compressed) -> Neighborhood:
    order = np.argsort(columns.ids)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    columns = replace(
        columns,
        ids=columns.ids[order],
        lengths=columns.lengths[order],
        indices=place[columns.indices].astype(np.int32),
    )
    left, right = unit_rows(rows, columns)
    deviations = matrix_of(columns.values, columns, right.shape[0], len(columns.ids))
    return Neighborhood(left, right, deviations, rows.ids, columns.ids)


def _rated(block: int, start: int, targets: Int32, owners: Int32, found: Rated) -> pa.RecordBatch:
    arrays = [targets, owners, *(getattr(found, field.name) for field in fields(Rated))]
    return pa.record_batch(
        [[block], [start], *([array.tobytes()] for array in arrays)], schema=RATED
    )


def predict(candidates: Batches, rule: Rule) -> Batches:
    """RATED of the same pairs after each other to DEVIATIONS of those that have a neighbour."""
    for _, group in groupby(rows_of(candidates), itemgetter("block", "start")):
        parts = list(group)
        targets, owners = (
            np.frombuffer(parts[0][name], np.int32) for name in ("targets", "owners")
        )
        best = cosine.best(Rated.joined([decoded(Rated, part) for part in parts]), rule.top_k)
        deviations = weighted_means(best, len(targets), rule.prior)
        answered = ~np.isnan(deviations)
        yield pa.record_batch(
            [targets[answered], owners[answered], deviations[answered]], schema=DEVIATIONS
        )


def look_up_and_predict(cells: Batches, rule: Rule) -> Batches:
    """Both at once, where there is one block of columns."""
    return predict(look_up(cells, rule), rule)
