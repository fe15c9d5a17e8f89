"""What rows are compared by: matrices of hashed tokens, numbers, and vectors, by the name of what
is known.

`Views` says how each is made, from sums over all rows that can be merged.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from emberline.cf.content import tokens
from emberline.cf.content.columns import LABELS, LISTS, TEXTS, Columns
from emberline.cf.content.tokens import BUCKETS, Tokens
from emberline.numeric.arrays import Float32, Float64

_TOKENS = {
    **dict.fromkeys(LISTS, Tokens.of_lists),
    **dict.fromkeys(LABELS, Tokens.of_labels),
    **{f"{name} words": Tokens.of_words for name in TEXTS},
    **{f"{name} characters": Tokens.of_characters for name in TEXTS},
}
_FAR = 1e6  # standard deviations


@dataclass(frozen=True)
class Numbers:
    """Where most values of a number lie, and how far apart: the median, and the standard deviation
    of what is between the 5th and the 95th percentile, all others being moved there. A few that
    are out of all proportion do not change it.
    """

    middle: float
    deviation: float

    @classmethod
    def of(cls, values: Float64) -> "Numbers | None":
        """Of values (n,), NaN where there is none; None where nearly all are the same."""
        known = values[np.isfinite(values)]
        if len(known) < 2:
            return None
        low, middle, high = np.quantile(known, [0.05, 0.5, 0.95])
        deviation = float(np.clip(known, low, high).std())
        return cls(float(middle), deviation) if deviation > 1e-9 * abs(middle) else None

    def standardised(self, values: Float64) -> Float64:
        """(n,), NaN where there is none."""
        found: Float64 = np.clip((values - self.middle) / self.deviation, -_FAR, _FAR)
        return found


@dataclass(frozen=True)
class Statistics:
    """Of so many rows, how many have a token, by view, and each number's distribution; views and
    numbers in which rows do not differ are left out.
    """

    columns: Columns
    rows: int
    frequencies: Mapping[str, Float64]
    numbers: Mapping[str, Numbers]

    def idf(self, view: str) -> Float32:
        """(BUCKETS,)."""
        return tokens.idf(self.frequencies[view], self.rows)


@dataclass(frozen=True)
class Features:
    """Rows (n) by what is known of them: counts of tokens (n, BUCKETS) by view, and standardised
    numbers (n,), NaN where there is none.
    """

    tokens: Mapping[str, sp.csr_matrix]
    numbers: Mapping[str, Float64]


def views_of(columns: Columns) -> tuple[str, ...]:
    """All views of tokens that rows of these columns have."""
    return (*_TOKENS, *columns.categories, *columns.lists)


def column_of(view: str) -> str:
    """The column that a view is of."""
    return view.partition(" ")[0] if view in _TOKENS else view


def counts_of(rows: pa.RecordBatch, view: str, columns: Columns) -> sp.csr_matrix:
    """(rows, BUCKETS): the tokens of a view."""
    named = Tokens.of_labels if view in columns.categories else Tokens.of_lists
    return _TOKENS.get(view, named)(columns.of(rows, column_of(view))).counts()


def numbers_of(rows: pa.RecordBatch, count: int) -> Float64:
    """(rows, count), NaN where there is none."""
    values = pc.fill_null(pc.list_flatten(rows["numbers"]), np.nan)
    found: Float64 = values.to_numpy(zero_copy_only=False).reshape(rows.num_rows, count)
    return found


def sum_up(rows: pa.RecordBatch, columns: Columns) -> Float64:
    """What `statistics_of` takes, of a batch: sums that add up."""
    parts = [np.array([float(rows.num_rows)])]
    for view in views_of(columns):
        counts = counts_of(rows, view, columns)
        is_empty = np.diff(counts.indptr) == 0
        parts += [np.array([is_empty.sum()]), tokens.document_frequencies(counts)]
    return np.concatenate(parts).astype(np.float64)


def statistics_of(sums: Float64, sample: pa.RecordBatch, columns: Columns) -> Statistics:
    """Of all rows, which have these columns, and of a sample of them."""
    rows, names = int(sums[0]), columns.numbers
    views = sums[1:].reshape(len(views_of(columns)), 1 + BUCKETS)
    frequencies = {
        view: found[1:]
        for view, found in zip(views_of(columns), views, strict=True)
        if _differ(rows, found[0], found[1:])
    }
    every = numbers_of(sample, len(names)).T
    numbers = {name: Numbers.of(values) for name, values in zip(names, every, strict=True)}
    known = {name: found for name, found in numbers.items() if found is not None}
    return Statistics(columns, rows, frequencies, known)


def _differ(rows: int, empty: float, frequencies: Float64) -> bool:
    """Whether rows differ in a view: some token is in some of them, and not in all."""
    present = frequencies[frequencies > 0]
    return bool(empty < rows and len(present) and (present.min() < rows))


def features_of(rows: pa.RecordBatch, known: Statistics) -> Features:
    """Of rows of attributes."""
    names = known.columns.numbers
    values = numbers_of(rows, len(names))
    return Features(
        {view: counts_of(rows, view, known.columns) for view in known.frequencies},
        {
            name: found.standardised(values[:, names.index(name)])
            for name, found in known.numbers.items()
        },
    )
