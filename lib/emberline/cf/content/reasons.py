"""Why an item, or a user, is scored as it is by what is said of it: exact shares of the score.

With the letters of `model.py`, what a modality (a column, or two at once) contributes to a score
u.f(x) is the part of its blocks,

    sum over its blocks b  w_b  sum over landmarks l  K_b(x, l) (c_l.u)

which together with u.mean adds up to the score, and is what the score loses where those blocks are
left out. Within a modality, the word that is named is the one without which, all else being as it
is, the modality would contribute least.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cf.content.features import Features
from emberline.cf.content.kernels import blocks_of
from emberline.cf.content.model import Likeness, Model
from emberline.cf.content.words import Without, without_each
from emberline.cf.entries import Arrays
from emberline.numeric.arrays import Array, Float32, Float64, Int64


@dataclass(frozen=True)
class Shares(Arrays):
    """The place of a pair, the modality's name, its word (None where no word matters), and what the
    modality contributes: each (n,), the largest of a pair first.
    """

    pairs: Int64
    modalities: Array
    words: Array
    contributions: Float32

    @classmethod
    def none(cls) -> Self:
        nothing = np.empty(0, object)
        return cls(np.empty(0, np.int64), nothing, nothing, np.empty(0, np.float32))


@dataclass(frozen=True)
class Modality:
    """Of rows (n): what a modality adds to their factors (n, rank), what each row would have of it
    without one of its words, and the values of its numbers, as texts (n,).
    """

    name: str
    factors: Float64
    without: list[tuple[Without, Float64]]
    numbers: list[Array]


def modalities_of(model: Model, rows: pa.RecordBatch) -> list[Modality]:
    """All that count, of rows of attributes."""
    likeness = model.likeness
    names = {block.name: block.modality for block in blocks_of(likeness.known)}
    used = dict.fromkeys(names[block] for block in likeness.weights)
    whole = parts(model, likeness.features(rows))
    columns = dict.fromkeys(column for modality in used for column in modality)
    left = {column: _without(model, rows, column) for column in columns}
    numbers = {column: _numbers(rows, column, likeness) for column in columns}
    found = []
    for modality in used:
        without = [
            (each[0], each[1][modality])
            for column in modality
            if (each := left[column]) is not None
        ]
        values = [of for column in modality if (of := numbers[column]) is not None]
        found.append(Modality(" x ".join(modality), whole[modality], without, values))
    return found


def parts(model: Model, rows: Features) -> Mapping[tuple[str, ...], Float64]:
    """By modality what it adds to the factors of each row (n, rank)."""
    names = {block.name: block.modality for block in blocks_of(model.likeness.known)}
    found: dict[tuple[str, ...], Float64] = {}
    for block, kernel in model.likeness.by_block(rows):
        added = kernel.astype(np.float64) @ model.coefficients.astype(np.float64)
        modality = names[block]
        found[modality] = found[modality] + added if modality in found else added
    return found


def _without(
    model: Model, rows: pa.RecordBatch, column: str
) -> tuple[Without, Mapping[tuple[str, ...], Float64]] | None:
    found = without_each(rows, column, model.likeness.known)
    if found is None or not len(found.row):
        return None
    return found, parts(model, model.likeness.features(found.rows))


def _numbers(rows: pa.RecordBatch, column: str, likeness: Likeness) -> Array | None:
    names = likeness.known.columns.numbers
    if column not in names:
        return None
    place = names.index(column)
    values = [row[place] for row in rows["numbers"].to_pylist()]
    return np.array([None if value is None else f"{value:.6g}" for value in values], object)


def shares(found: list[Modality], row: int, pairs: Int64, others: Float64, top: int) -> Shares:
    """The `top` modalities of the largest contributions, above 0, to the scores of one row with
    others (p, rank), whose pairs have these places (p,).
    """
    contributions = np.column_stack([others @ modality.factors[row] for modality in found])
    best = np.argsort(-contributions, axis=1, kind="stable")[:, :top]
    words = np.empty(contributions.shape, object)
    for at, modality in enumerate(found):
        words[:, at] = _words(modality, row, others, contributions[:, at])
    values = np.take_along_axis(contributions, best, 1)
    pair, place = np.nonzero(values > 0)
    chosen = best[pair, place]
    names = np.array([modality.name for modality in found], object)
    return Shares(
        pairs[pair], names[chosen], words[pair, chosen], values[pair, place].astype(np.float32)
    )


def _words(modality: Modality, row: int, others: Float64, whole: Float64) -> Array:
    """The word (p,) of the modality that matters most for each of the others, or None, and the
    values of its numbers.
    """
    said = [_strongest(without, left, row, others, whole) for without, left in modality.without]
    said += [
        pa.repeat(pa.scalar(values[row], pa.string()), len(others)) for values in modality.numbers
    ]
    joined = reduce(_joined, said, pa.nulls(len(others), pa.string()))
    words: Array = joined.to_numpy(zero_copy_only=False)
    return words


def _joined(left: pa.StringArray, right: pa.StringArray) -> pa.StringArray:
    """With a comma between them, where both are there."""
    both = pc.binary_join_element_wise(left, right, ", ")
    return pc.coalesce(both, left, right)


def _strongest(
    without: Without, left: Float64, row: int, others: Float64, whole: Float64
) -> pa.StringArray:
    """The word (p,) whose loss costs most; null where none costs anything."""
    first, end = (int(at) for at in np.searchsorted(without.row, [row, row + 1]))
    if first == end:
        return pa.nulls(len(others), pa.string())
    losses = whole[:, None] - others @ left[first:end].T
    best = losses.argmax(axis=1)
    matters = losses[np.arange(len(others)), best] > 0
    return without.words.take(pa.array(first + best, mask=~matters))
