"""What Spark's Python workers run for alternating least squares: ratings into blocks, and
half-steps over blocks.

With B blocks a side, the user or item of id i is in block i % B. A packed block holds both sides'
rows of its number.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from itertools import pairwise
from operator import itemgetter
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from emberline.cf.als import half_step as als
from emberline.cf.als.half_step import Grams, Objective
from emberline.cf.als.solvers import Solver
from emberline.cf.als.validation import Withheld
from emberline.cf.blocks import BLOCK_FIELDS, Block, decode, matrix_of, rows_of
from emberline.cf.entries import Entries, read
from emberline.numeric.arrays import Float32, Float64, Int32, Int64

SIDES = ("user", "item")
EXTENT = pa.schema([("user", pa.int32()), ("item", pa.int32())])
ACCOUNT = [
    ("ratings", pa.int64()),
    ("rows", pa.int64()),
    ("last", pa.int32()),  # the largest id
    ("total", pa.float64()),
    ("squares", pa.float64()),
    ("not_finite", pa.int64()),
    ("repeated", pa.int64()),
]
SENT = [("sent_ends", pa.binary()), ("sent", pa.binary())]
PACKED = pa.schema(
    [
        ("block", pa.int32()),
        *(
            (f"{side}_{name}", kind)
            for side in SIDES
            for name, kind in (*BLOCK_FIELDS, *SENT, *ACCOUNT)
        ),
    ]
)
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
MESSAGES = pa.schema(
    [("block", pa.int32()), ("source", pa.int32()), ("part", pa.int32()), ("factors", pa.binary())]
)
_MESSAGE_FLOATS = 1 << 18  # of a message, 1 MiB: a JVM copies its rows many times
_STORED_FLOATS = 1 << 28  # 1 GiB; a binary value has less than 2
_PUBLISHED_ROWS = 1 << 14
_SUMS_AT_ONCE = 64  # blocks whose sums the driver takes one by one
_NONE = np.empty(0, np.int32)


StoredRows = Callable[[int], pa.RecordBatch | None]  # a block's row by its number


class Shared(Protocol):
    """An array that all workers have: Spark's broadcast variable."""

    @property
    def value(self) -> Any: ...


# --------------------------------------------------------------------------------------------------
# packing


def extent(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Columns user and item to a row with the largest of each."""
    for ratings in read(batches):
        yield pa.record_batch([[ratings.rows.max()], [ratings.columns.max()]], schema=EXTENT)


def scatter_ratings(
    batches: Iterator[pa.RecordBatch], num_blocks: int, withheld: Withheld | None
) -> Iterator[pa.RecordBatch]:
    """Columns user, item and value to PIECES: by the block of the user, and again by that of
    the item; less what is withheld.
    """
    for ratings in read(batches):
        kept = (
            ratings
            if withheld is None
            else ratings.take(~withheld.has(ratings.rows, ratings.columns))
        )
        for kind, rows, columns in zip(
            SIDES, (kept.rows, kept.columns), (kept.columns, kept.rows), strict=True
        ):
            yield from Entries(rows, columns, kept.values).pieces(rows % num_blocks, kind)


def pack_blocks(
    pieces: Iterator[pa.RecordBatch], num_blocks: int, routed: bool
) -> Iterator[pa.RecordBatch]:
    """All PIECES of one block to its row of PACKED.

    With `routed`, columns are not the other side's ids but positions among those that the block's
    ratings name, in the order of their block and then of their id; and `sent` are the positions of
    the rows that each block of the other side names in the same way, those of block b ending at
    `sent_ends[b + 1]`.
    """
    found = list(_rows(pieces))
    if found:
        packed: dict[str, Any] = {"block": found[0]["block"]}
        for side in SIDES:
            ratings = Entries.decoded(piece for piece in found if piece["kind"] == side)
            columns = _pack(ratings, packed["block"], num_blocks, routed)
            packed |= {f"{side}_{name}": value for name, value in columns.items()}
        yield pa.RecordBatch.from_pylist([packed], schema=PACKED)


def _pack(ratings: Entries, number: int, num_blocks: int, routed: bool) -> dict[str, Any]:
    """One side's columns of PACKED; entries are in the order of row and column, in whichever
    order the pieces come.
    """
    block = ratings.block(number, num_blocks)
    count = len(block.values)
    account = {
        "ratings": count,
        "rows": len(block.ids),
        "last": block.ids.max(initial=-1),
        "total": block.values.sum(dtype=np.float64),
        "squares": np.square(block.values, dtype=np.float64).sum(),
        "not_finite": count - np.isfinite(block.values).sum(),
        "repeated": _repeated(block.indptr, block.indices),
    }
    sent_ends, sent = _sent(block, num_blocks) if routed else (_NONE, _NONE)
    if routed:
        block = replace(block, indices=_positions(block.indices, num_blocks))
    return {**block.encode(), "sent_ends": sent_ends.tobytes(), "sent": sent.tobytes(), **account}


def _sent(block: Block, num_blocks: int) -> tuple[Int64, Int32]:
    """Which rows, by position, each block of the other side needs: those that any of its ids
    has a rating with.
    """
    rows = np.repeat(np.arange(len(block.ids), dtype=np.int32), np.diff(block.indptr))
    matrix = Entries(block.indices % num_blocks, rows).matrix(num_blocks)
    matrix.has_canonical_format = False
    matrix.sum_duplicates()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32)


def _repeated(indptr: Int64, columns: Int32) -> int:
    """How many entries have the place of the one before; rows are not empty."""
    same = columns[1:] == columns[:-1]
    same[indptr[1:-1] - 1] = False
    return int(same.sum())


def _positions(columns: Int32, num_blocks: int) -> Int32:
    """Where each column stands among the distinct ones, in the order of block and id."""
    keys = (columns % num_blocks).astype(np.int64) << 32 | columns
    positions: Int32 = np.unique(keys, return_inverse=True)[1].astype(np.int32)
    return positions


# --------------------------------------------------------------------------------------------------
# half-steps


@dataclass(frozen=True)
class Step:
    """What a half-step is, whichever way the others' factors come; `grams` are the other side's."""

    objective: Objective
    solver: Solver
    grams: Grams

    @property
    def width(self) -> int:
        """How many numbers a row's factors are."""
        return len(self.grams.each)

    def solve(self, number: int, block: Block, others: Float32, start: Float32) -> dict[str, Any]:
        """One block's row of SOLVED."""
        factors, loss = als.half_step(block, others, self.grams, start, self.objective, self.solver)
        return {**_row(number, block.ids, np.diff(block.indptr), factors), **asdict(loss)}


def _row(number: int, ids: Int32, counts: Int64, factors: Float32) -> dict[str, Any]:
    """A row of FACTORS: of ids (m,) with so many ratings (m,), and their factors (m, width)."""
    return _with_grams(number, ids, factors, Grams.of(factors, counts))


def _with_grams(number: int, ids: Int32, factors: Float32, grams: Grams) -> dict[str, Any]:
    return {"block": number, "ids": ids.tobytes(), "factors": factors.tobytes(), **_sums_of(grams)}


def _sums_of(grams: Grams) -> dict[str, Any]:
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


def merge_sums(batches: Iterator[pa.RecordBatch], width: int) -> Iterator[pa.RecordBatch]:
    """Rows of FACTORS or SOLVED, less their factors: the first by block gets the sums of all,
    the others keep but their names.
    """
    found = list(batches)
    rows = sorted(rows_of(found), key=itemgetter("block"))
    if rows:
        losses = {name: sum(row[name] for row in rows) for name in LOSS if name in rows[0]}
        sums = _sums_of(grams_of(rows, width)) | losses
        rest = [row | dict.fromkeys(sums) for row in rows[1:]]
        yield pa.RecordBatch.from_pylist([rows[0] | sums, *rest], schema=found[0].schema)


def _square(content: bytes, width: int) -> Float64:
    return np.frombuffer(content).reshape(width, width)


def solve_shared(
    batches: Iterator[pa.RecordBatch], others: Shared, own: Shared, step: Step
) -> Iterator[pa.RecordBatch]:
    """One side's columns of PACKED, without its prefix, to SOLVED; others and own: (ids,
    width), all factors of either side.
    """
    for row in _rows(batches):
        block = decode(row)
        solved = step.solve(row["block"], block, others.value, own.value[block.ids])
        yield pa.RecordBatch.from_pylist([solved], schema=SOLVED)


def send_factors(
    numbers: Iterator[pa.RecordBatch], packed: StoredRows, factors: StoredRows, side: str
) -> Iterator[pa.RecordBatch]:
    """MESSAGES of the factors of blocks, whose numbers are the one column given, to the other
    side's blocks.

    packed: rows of PACKED, factors: rows of FACTORS, by number.
    """
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            for row in _rows(_stored(factors, number)):
                for ratings in rows_of(_stored(packed, number)):
                    yield from _messages(ratings, side, row)


def _messages(
    packed: Mapping[str, Any], side: str, row: Mapping[str, Any]
) -> Iterator[pa.RecordBatch]:
    _, factors = _factors(row)
    ends = np.frombuffer(packed[f"{side}_sent_ends"], np.int64)
    sent = np.frombuffer(packed[f"{side}_sent"], np.int32)
    most = max(1, _MESSAGE_FLOATS // factors.shape[1])
    for block, (first, end) in enumerate(pairwise(ends.tolist())):
        for part, at in enumerate(range(first, end, most)):
            content = factors[sent[at : min(at + most, end)]].tobytes()
            message = {"block": block, "source": row["block"], "part": part, "factors": content}
            yield pa.RecordBatch.from_pylist([message], schema=MESSAGES)


def solve_routed(
    messages: Iterator[pa.RecordBatch], packed: StoredRows, own: StoredRows, side: str, step: Step
) -> Iterator[pa.RecordBatch]:
    """All MESSAGES to one block to SOLVED.

    packed: rows of PACKED, own: rows of FACTORS so far, by number; a block without one begins at
    zero.
    """
    received = sorted(rows_of(messages), key=itemgetter("source", "part"))
    if not received:
        return
    number = received[0]["block"]
    (ratings,) = rows_of(_stored(packed, number))
    block = decode(ratings, f"{side}_")
    others = np.concatenate(
        [np.frombuffer(message["factors"], np.float32) for message in received]
    ).reshape(-1, step.width)
    start = np.zeros((len(block.ids), step.width), np.float32)
    for row in rows_of(_stored(own, number)):
        start = _factors(row)[1]
    yield pa.RecordBatch.from_pylist([step.solve(number, block, others, start)], schema=SOLVED)


def _stored(rows: StoredRows, number: int) -> list[pa.RecordBatch]:
    row = rows(number)
    return [] if row is None else [row]


# --------------------------------------------------------------------------------------------------
# factors


def begin(
    batches: Iterator[pa.RecordBatch], rank: int, objective: Objective, seed: int, nonnegative: bool
) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to FACTORS: random directions, biases of zero."""
    for row in _rows(batches):
        ids, counts = _rated(row)
        factors = np.zeros((len(ids), objective.width(rank)), np.float32)
        factors[:, :rank] = als.initial_factors(ids, rank, seed, nonnegative)
        yield pa.RecordBatch.from_pylist([_row(row["block"], ids, counts, factors)], schema=FACTORS)


def continue_from(
    packed: pa.Table, earlier: pa.Table, side: str, objective: Objective, width: int
) -> pa.Table:
    """Columns block, ids and indptr, and published factors (columns id and factors) of that block,
    to FACTORS.

    Ids without earlier factors begin at zero.
    """
    known = earlier["id"].to_numpy()
    rows = []
    for row in _rows(iter(packed.to_batches())):
        ids, counts = _rated(row)
        factors = np.zeros((len(ids), width), np.float32)
        if len(known):
            _, places, found = np.intersect1d(ids, known, assume_unique=True, return_indices=True)
            before = matrix_of(earlier["factors"].combine_chunks(), len(known))
            factors[places] = als.unpublished(before[found], side, objective)
        rows.append(_row(row["block"], ids, counts, factors))
    return pa.Table.from_pylist(rows, schema=FACTORS)


def look_up(batches: Iterator[pa.RecordBatch], factors: Shared) -> Iterator[pa.RecordBatch]:
    """Columns block, ids and indptr to FACTORS, from all factors of the side (ids, width)."""
    for row in _rows(batches):
        ids, counts = _rated(row)
        yield pa.RecordBatch.from_pylist(
            [_row(row["block"], ids, counts, factors.value[ids])], schema=FACTORS
        )


def pick_factors(batches: Iterator[pa.RecordBatch], wanted: Int32) -> Iterator[pa.RecordBatch]:
    """ROWS with the wanted ids only."""
    for row in _rows(batches):
        ids, factors = _factors(row)
        chosen = np.flatnonzero(np.isin(ids, wanted))
        picked = {
            "block": row["block"],
            "ids": ids[chosen].tobytes(),
            "factors": factors[chosen].tobytes(),
        }
        yield pa.RecordBatch.from_pylist([picked], schema=ROWS)


def publish(
    batches: Iterator[pa.RecordBatch], side: str, objective: Objective
) -> Iterator[pa.RecordBatch]:
    """ROWS to a row per id: its id, named like the side, and its factors as they are published."""
    for row in _rows(batches):
        ids, factors = _factors(row)
        for first in range(0, len(ids), _PUBLISHED_ROWS):
            part = als.published(factors[first : first + _PUBLISHED_ROWS], side, objective)
            ends = np.arange(0, part.size + 1, part.shape[1], dtype=np.int32)
            lists = pa.ListArray.from_arrays(ends, pa.array(part.ravel()))
            yield pa.record_batch(
                [pa.array(ids[first : first + _PUBLISHED_ROWS]), lists], names=[side, "factors"]
            )


def _rated(row: Mapping[str, Any]) -> tuple[Int32, Int64]:
    """A packed block's ids and how many ratings each has."""
    indptr = np.frombuffer(row["indptr"], np.int64)
    return np.frombuffer(row["ids"], np.int32), indptr[1:] - indptr[:-1]


def _factors(row: Mapping[str, Any]) -> tuple[Int32, Float32]:
    ids = np.frombuffer(row["ids"], np.int32)
    return ids, np.frombuffer(row["factors"], np.float32).reshape(len(ids), -1)


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """Rows of blocks, but for those without ids."""
    return (row for row in rows_of(batches) if "ids" not in row or len(row["ids"]))
