"""Rows as they would be without one of their words each."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.content.columns import TEXTS, Columns
from emberline.cf.content.features import Statistics
from emberline.cf.content.tokens import buckets_of, words_of
from emberline.numeric.arrays import Float32, Int64
from emberline.numeric.groups import place_among

MOST = 20  # words of a column of a row, the rarest first, that are left out in turn


@dataclass(frozen=True)
class Without:
    """The row (v,), ascending, that lacks a word, which word (v,), and the row without it (v)."""

    row: Int64
    words: pa.StringArray
    rows: pa.RecordBatch


def without_each(rows: pa.RecordBatch, column: str, known: Statistics) -> Without | None:
    """Rows of attributes without one word of a column; None where that has no words, or tells
    nothing apart.
    """
    view, columns = f"{column} words" if column in TEXTS else column, known.columns
    if view not in known.frequencies:
        return None
    lists = _lists(columns.of(rows, column), column, columns)
    chosen, buckets = _candidates(lists, known.idf(view))
    row = pc.list_parent_indices(lists).to_numpy()[chosen].astype(np.int64)
    left = _others(lists, row, buckets, buckets[chosen])
    shorter = left if column in columns.words else _texts(left, column, columns)
    words = pc.list_flatten(lists).take(pa.array(chosen))
    return Without(row, words, columns.replaced(rows.take(pa.array(row)), column, shorter))


def _lists(values: pa.Array, column: str, columns: Columns) -> pa.ListArray:
    """The words of each row."""
    if column in TEXTS:
        return words_of(values)
    if column in columns.labels:
        known = values.is_valid().to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(known)]), pa.int32())
        return pa.ListArray.from_arrays(offsets, values.drop_null())
    return values


def _candidates(lists: pa.ListArray, idf: Float32) -> tuple[Int64, Int64]:
    """Places of the words (v,) that are left out in turn, each word of a row once, and the bucket
    of every word (n,).
    """
    rows, buckets = pc.list_parent_indices(lists).to_numpy(), buckets_of(pc.list_flatten(lists))
    order = np.lexsort((buckets, rows))
    first = order[place_among(rows[order], buckets[order]) == 0]
    rarest = first[np.lexsort((first, -idf[buckets[first]], rows[first]))]
    return rarest[place_among(rows[rarest]) < MOST], buckets


def _others(lists: pa.ListArray, row: Int64, buckets: Int64, left_out: Int64) -> pa.ListArray:
    """All words of each row (v,) but those of a bucket (v,)."""
    ends = np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())])
    whose = np.repeat(np.arange(len(row)), np.diff(ends)[row])
    places = ends[row][whose] + place_among(whose)
    kept = buckets[places] != left_out[whose]
    lengths = np.bincount(whose[kept], minlength=len(row))
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    return pa.ListArray.from_arrays(offsets, pc.list_flatten(lists).take(pa.array(places[kept])))


def _texts(lists: pa.ListArray, column: str, columns: Columns) -> pa.StringArray:
    """Words joined; a label is one, and without it there is none."""
    joined = pc.binary_join(lists, " ")
    return pa.nulls(len(lists), pa.string()) if column in columns.labels else joined
