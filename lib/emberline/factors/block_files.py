"""Rows of blocks in files that tasks write and read."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa

from emberline.datasets import block_files
from emberline.datasets.block_files import FILE, BlockFiles
from emberline.datasets.storage import Location
from emberline.flow.rows import Flow, Rows


def store(
    rows: Rows,
    folder: Location,
    schema: pa.Schema,
    kept: Sequence[str],
    merge: Callable[[Rows, pa.Schema], Rows] = lambda written, schema: written,
) -> tuple[BlockFiles, pa.Table]:
    """Write every row to a file; where they are, and columns `block`, `kept` and FILE of all rows,
    in the order of blocks.

    These columns come to this process as `merge` makes them, which keeps `block` and FILE.
    """
    names = list(dict.fromkeys(["block", *kept]))
    written = pa.schema([*(schema.field(name) for name in names), (FILE, pa.string())])
    stored = rows.map(partial(block_files.store, folder=folder, kept=names), written)
    table = merge(stored, written).table().sort_by("block")
    files = dict(zip(table["block"].to_pylist(), table[FILE].to_pylist(), strict=True))
    return BlockFiles(folder, files), table


def rows_in(flow: Flow, files: BlockFiles, num_blocks: int, schema: pa.Schema) -> Rows:
    """The rows, a block in each of so many parts."""
    return flow.numbers(num_blocks).map(files.load, schema)


def store_here(rows: Iterator[pa.RecordBatch], folder: Location) -> BlockFiles:
    """Write rows from this process."""
    written = block_files.store(rows, folder, ["block"])
    return BlockFiles(folder, {row["block"][0].as_py(): row[FILE][0].as_py() for row in written})


def rows_here(files: BlockFiles) -> list[pa.RecordBatch]:
    """All rows, in this process."""
    return [row for row in map(files.row, sorted(files.names)) if row is not None]
