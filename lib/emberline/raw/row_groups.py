"""Raw Parquet files, cut into tasks that read and count them: pieces of row groups."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.datasets import raw_files
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task
from emberline.flow.rows import TASKS_PER_CORE, Flow, Rows
from emberline.records import parquet, parquet_columns, parquet_file
from emberline.records.heads import Wanted
from emberline.records.parquet_file import Layout

_MOMENTS = ("timestamp",)
_FOOTERS_AT_ONCE = 16
# bytes that take as long to read as it takes to open a file and understand its footer
_TASK_COST = 100_000
_SMALL_PIECE = 4 << 20  # compressed bytes of a row group that are not worth cutting


def texts(
    flow: Flow, files: list[RawFile], wanted: Wanted, lists: Collection[str]
) -> tuple[Rows, Task]:
    """parquet_file.TASKS, and what makes source_file, raw, problem, and a text per key of `wanted`
    of them, as `parquet.read` does.

    A moment in the column `timestamp` stands behind a arrow_texts.MOMENT. Raises DataError and
    SchemaError as `parquet.layout`.
    """
    names = parquet_columns.names_of(wanted)
    layouts = layouts_of(files, partial(parquet.layout, wanted=names, lists=tuple(lists)))
    reading = partial(
        parquet.read_tasks,
        wanted=names,
        lists=tuple(lists),
        moments=_MOMENTS,
        opened=raw_files.open_arrow,
    )
    return tasks(flow, files, layouts), reading


def layouts_of(files: list[RawFile], layout: Callable[..., Layout]) -> list[Layout]:
    """What the footers of the files say."""

    def read(file: RawFile) -> Layout:
        with raw_files.open_arrow(file.uri) as opened:
            return layout(opened, file.uri)

    with ThreadPoolExecutor(_FOOTERS_AT_ONCE) as pool:
        return list(pool.map(read, files))


def tasks(
    flow: Flow, files: list[RawFile], layouts: list[Layout], smallest: int = _SMALL_PIECE
) -> Rows:
    """parquet_file.TASKS, in partitions that cost about the same each.

    Where there are fewer row groups than tasks for every core, they are cut into pieces of at least
    so many bytes.
    """
    waves = TASKS_PER_CORE * flow.cores
    size = max(sum(sum(layout.group_bytes) for layout in layouts) // waves, smallest, 1)
    rows: list[dict[str, Any]] = []
    for file, layout in zip(files, layouts, strict=True):
        firsts = np.cumsum([0, *layout.group_rows]).tolist()
        for number, (count, length) in enumerate(
            zip(layout.group_rows, layout.group_bytes, strict=True)
        ):
            facts = {
                "uri": file.uri,
                "source_file": file.relative,
                "group": number,
                "rows": count,
                "bytes": length,
            }
            pieces = max(1, min(length // size, count))
            edges = [count * at // pieces for at in range(pieces + 1)]
            rows += [
                facts | {"first_row": firsts[number], "start": low, "end": high}
                for low, high in pairwise(edges)
            ]
    costs = np.array(
        [
            row["bytes"] * (row["end"] - row["start"]) / max(row["rows"], 1) + _TASK_COST
            for row in rows
        ]
    )
    return flow.deal(pa.Table.from_pylist(rows, parquet_file.TASKS), costs)
