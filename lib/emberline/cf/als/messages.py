"""Half-steps over packed blocks that send each other the factors they need."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cf.als.factor_rows import SOLVED, factors_of
from emberline.cf.als.packing import rated_blocks
from emberline.cf.als.steps import Step
from emberline.cf.blocks import decode, rows_of

MESSAGES = pa.schema(
    [("block", pa.int32()), ("source", pa.int32()), ("part", pa.int32()), ("factors", pa.binary())]
)
_MESSAGE_FLOATS = 1 << 18  # of a message, 1 MiB: a JVM copies its rows many times
StoredRows = Callable[[int], pa.RecordBatch | None]  # a block's row by its number


def send_factors(
    numbers: Iterator[pa.RecordBatch], packed: StoredRows, factors: StoredRows, side: str
) -> Iterator[pa.RecordBatch]:
    """MESSAGES of the factors of blocks, whose numbers are the one column given, to the other
    side's blocks.

    packed: rows of PACKED, factors: rows of FACTORS, by number.
    """
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            for row in rated_blocks(_stored(factors, number)):
                for ratings in rows_of(_stored(packed, number)):
                    yield from _messages(ratings, side, row)


def _messages(
    packed: Mapping[str, Any], side: str, row: Mapping[str, Any]
) -> Iterator[pa.RecordBatch]:
    _, factors = factors_of(row)
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
        start = factors_of(row)[1]
    yield pa.RecordBatch.from_pylist([step.solve(number, block, others, start)], schema=SOLVED)


def _stored(rows: StoredRows, number: int) -> list[pa.RecordBatch]:
    row = rows(number)
    return [] if row is None else [row]
