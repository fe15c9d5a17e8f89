"""One block of a matrix's rows packed into one row of Arrow, as Spark's workers pass it on."""

import pyarrow as pa

from emberline.cf.blocks import (
    BLOCK_FIELDS,
    Block,
    dense_block,
    matrix_of,
)
from emberline.cf.entries import Entries

BLOCKS = pa.schema([("block", pa.int32()), *BLOCK_FIELDS])


def pack_dense(rows: pa.Table) -> pa.Table:
    """One block of dense rows: columns block, row and factors (lists of one length) to one row
    of BLOCKS.
    """
    factors = rows["factors"].combine_chunks()
    return _packed(rows, dense_block(rows["row"].to_numpy(), matrix_of(factors, len(factors))))


def pack_sparse(entries: pa.Table) -> pa.Table:
    """One block of sparse rows: columns block, row, column and value to one row of BLOCKS."""
    return _packed(
        entries, Entries(*(entries[name].to_numpy() for name in ("row", "column", "value"))).block()
    )


def _packed(rows: pa.Table, block: Block) -> pa.Table:
    return pa.Table.from_pylist(
        [{"block": rows["block"][0].as_py(), **block.encode()}], schema=BLOCKS
    )
