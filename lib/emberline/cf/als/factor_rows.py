"""Blocks of factors as rows of Arrow, each with its part of its side's sums."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from functools import reduce
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.als.gramians import Grams
from emberline.cf.als.packing import rated_blocks
from emberline.cf.blocks import rows_of
from emberline.numeric.arrays import Float32, Float64, Int32, Int64

ROWS = pa.schema([("block", pa.int32()), ("ids", pa.binary()), ("factors", pa.binary())])
GRAMS = [
    ("each", pa.binary()),
    ("rated", pa.binary()),
    ("rows", pa.int64()),
    ("ratings", pa.int64()),
]
FACTORS = pa.schema([*ROWS, *GRAMS])  # with the block's part of the side's Grams
LOSS = ("observed", "squares", "everywhere", "penalty")
SOLVED = pa.schema([*FACTORS, *((name, pa.float64()) for name in LOSS)])
NEAR = "near"
_STORED_FLOATS = 1 << 28  # 1 GiB; a binary value has less than 2
_SUMS_AT_ONCE = 64  # blocks whose sums the driver takes one by one


def factors_row(number: int, ids: Int32, counts: Int64, factors: Float32) -> dict[str, Any]:
    """A row of FACTORS: of ids (m,) with so many ratings (m,), and their factors (m, width)."""
    return _with_grams(number, ids, factors, Grams.of(factors, counts))


def _with_grams(number: int, ids: Int32, factors: Float32, grams: Grams) -> dict[str, Any]:
    return {"block": number, "ids": ids.tobytes(), "factors": factors.tobytes(), **sums_of(grams)}


def sums_of(grams: Grams) -> dict[str, Any]:
    return {
        name: value.tobytes() if isinstance(value, np.ndarray) else value
        for name, value in asdict(grams).items()
    }


def factors_rows(ids: Int32, factors: Float32, grams: Grams) -> Iterator[pa.RecordBatch]:
    """All of a side, ids (m,) and factors (m, width), as rows of FACTORS that Arrow can hold;
    the first has the Grams.
    """
    most = max(1, _STORED_FLOATS // factors.shape[1])
    for number, first in enumerate(range(0, len(ids), most)):
        part = slice(first, first + most)
        row = _with_grams(
            number, ids[part], factors[part], grams if not number else Grams.empty(factors.shape[1])
        )
        yield pa.RecordBatch.from_pylist([row], schema=FACTORS)


def grams_of(rows: Iterable[Mapping[str, Any]], width: int) -> Grams:
    """The sum over rows of FACTORS; `merge_sums` has emptied some."""
    parts = (
        Grams(
            _square(row["each"], width), _square(row["rated"], width), row["rows"], row["ratings"]
        )
        for row in rows
        if row["each"] is not None
    )
    return reduce(Grams.merge, parts, Grams.empty(width))


def num_sums(num_blocks: int) -> int:
    """How many parts of a side's sums go to the driver, each of which has two matrices (width,
    width) in float64.
    """
    return num_blocks if num_blocks <= _SUMS_AT_ONCE else math.isqrt(num_blocks - 1) + 1


def near(
    batches: Iterator[pa.RecordBatch], parts: int, num_blocks: int
) -> Iterator[pa.RecordBatch]:
    """Rows with the column NEAR: the number of a row's block among so many parts of neighbours."""
    for batch in batches:
        numbers = batch.column("block").to_numpy().astype(np.int64) * parts // num_blocks
        yield batch.append_column(NEAR, pa.array(numbers.astype(np.int32)))


def merge_sums(batches: Iterator[pa.RecordBatch], width: int) -> Iterator[pa.RecordBatch]:
    """Rows of FACTORS or SOLVED, less their factors: the first by block gets the sums of all,
    the others keep but their names.
    """
    found = list(batches)
    rows = sorted(rows_of(found), key=itemgetter("block"))
    if rows:
        losses = {name: sum(row[name] for row in rows) for name in LOSS if name in rows[0]}
        sums = sums_of(grams_of(rows, width)) | losses
        rest = [row | dict.fromkeys(sums) for row in rows[1:]]
        yield pa.RecordBatch.from_pylist([rows[0] | sums, *rest], schema=found[0].schema)


def _square(content: bytes, width: int) -> Float64:
    return np.frombuffer(content).reshape(width, width)


def pick_factors(batches: Iterator[pa.RecordBatch], wanted: Int32) -> Iterator[pa.RecordBatch]:
    """ROWS with the wanted ids only."""
    for row in rated_blocks(batches):
        ids, factors = factors_of(row)
        chosen = np.flatnonzero(np.isin(ids, wanted))
        picked = {
            "block": row["block"],
            "ids": ids[chosen].tobytes(),
            "factors": factors[chosen].tobytes(),
        }
        yield pa.RecordBatch.from_pylist([picked], schema=ROWS)


def factors_of(row: Mapping[str, Any]) -> tuple[Int32, Float32]:
    ids = np.frombuffer(row["ids"], np.int32)
    return ids, np.frombuffer(row["factors"], np.float32).reshape(len(ids), -1)
