"""Raw records of any well-known format as text columns, each row with its source file, its raw text
and what is wrong with it.

Text (CSV, JSON lines) is read through `records`: nothing is dropped but headers, comments and blank
lines, and nothing is guessed. A record that does not parse keeps its text and gets a `problem`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import raw_files
from emberline.datasets.listing import RawFile
from emberline.datasets.rows import Task, through
from emberline.errors import DataError, SchemaError
from emberline.flow.rows import TASKS_PER_CORE, Flow, Rows
from emberline.look.heads import kind_of
from emberline.raw import row_groups
from emberline.records import cuts, heads, objects, parquet, parquet_columns, streams, text
from emberline.records.dialect import Dialect
from emberline.records.heads import Layout
from emberline.sections.raw import RawConfig

_FIRST_LOOK = 1 << 16  # bytes
_HEADS_AT_ONCE = 16
_SMALL_PIECE, _LARGE_PIECE = 8 << 20, 64 << 20  # bytes of a file that a task reads
_FILE_COST = 20_000  # bytes that take as long to read as it takes to open a file

Wanted = Mapping[str, str | int]


@dataclass(frozen=True)
class _Head:
    """What a file's first lines say, and which wanted keys none of them has."""

    file: RawFile
    layout: Layout
    missing: frozenset[str] = frozenset()


class Cleaning(NamedTuple):
    """What whoever has read records makes of them; in a step of its own they would pass Spark's
    Java before it.
    """

    task: Task
    schema: pa.Schema


def read_raw(
    flow: Flow,
    files: list[RawFile],
    raw: RawConfig,
    wanted: Wanted,
    lists: Collection[str] = (),
    cleaning: Cleaning | None = None,
) -> Rows:
    """Columns source_file, raw, problem (null where there is none) and, as text, one column per key
    of `wanted`.

    With a `cleaning`, what that makes of them.

    `wanted` maps the new name to the input's column name, or to its position from 1 in CSV without
    a header. Files may differ in the order and number of their columns. A list in one of the
    columns `lists` is its words, each behind an objects.WORDS; a moment in a Parquet `timestamp`
    stands behind a arrow_texts.MOMENT.

    Raises DataError for a file that is not what it claims, SchemaError for a missing column.
    """
    kind = kind_of(raw, files)
    if kind == "parquet":
        tasks, reading = row_groups.texts(flow, files, wanted, lists)
    else:
        tasks, reading = _texts(flow, files, raw.dialect(kind), wanted, lists, raw.path)
    if cleaning is None:
        return tasks.map(reading, text.schema(wanted))
    return tasks.map(partial(through, tasks=(reading, cleaning.task)), cleaning.schema)


def count_raw(flow: Flow, files: list[RawFile], raw: RawConfig, wanted: Wanted) -> int:
    """How many records `read_raw` has to give: text is cut once more, Parquet's footers say it."""
    kind = kind_of(raw, files)
    if kind == "parquet":
        footers = row_groups.layouts_of(
            files, partial(parquet.layout, wanted=parquet_columns.names_of(wanted))
        )
        return sum(sum(footer.group_rows) for footer in footers)
    layouts, tasks = _tasks(flow, _heads(files, raw.dialect(kind), wanted))
    counting = partial(text.count_tasks, layouts=layouts, opened=raw_files.open_unchanged)
    return pc.sum(tasks.map(counting, text.COUNTED).table()["rows"]).as_py() or 0


# --------------------------------------------------------------------------------------------------
# text files


def _texts(
    flow: Flow,
    files: list[RawFile],
    dialect: Dialect,
    wanted: Wanted,
    lists: Collection[str],
    path: str,
) -> tuple[Rows, Task]:
    """text.TASKS, and what reads them."""
    found = _heads(files, dialect, wanted)
    if not found:
        raise DataError(f"none of the {len(files)} files of {path} holds a line of data")
    layouts, tasks = _tasks(flow, found)
    if missing := sorted(frozenset.intersection(*(head.missing for head in found))):
        _check_keys(tasks, layouts, missing, path, found)
    opened = raw_files.open_unchanged
    return tasks, partial(
        text.read_tasks, layouts=layouts, wanted=dict(wanted), lists=tuple(lists), opened=opened
    )


def _heads(files: Sequence[RawFile], dialect: Dialect, wanted: Wanted) -> list[_Head]:
    """What the first lines of those files say that hold data; without headers the first file's
    says how many fields all have.
    """
    with ThreadPoolExecutor(_HEADS_AT_ONCE) as pool:
        found = [
            head for head in pool.map(partial(_head, dialect=dialect, wanted=wanted), files) if head
        ]
    if dialect.kind == "json" or dialect.header:
        return found
    return [
        replace(head, layout=replace(head.layout, width=found[0].layout.width)) for head in found
    ]


def _head(file: RawFile, dialect: Dialect, wanted: Wanted) -> _Head | None:
    """None for a file without data. Raises SchemaError for a wanted column that is not there."""
    size = _FIRST_LOOK
    while True:
        with raw_files.open_unchanged(file.uri, file.size, file.modified) as opened:
            head = heads.read_head(opened, file.uri, dialect.encoding, size)
        layout = text.layout_of(head, dialect)
        if layout is None and not head.is_whole:
            size *= 16
        elif layout is None:
            return None
        elif dialect.kind == "json":
            return _Head(file, layout, frozenset(objects.missing(head, wanted)))
        else:
            text.positions(layout, wanted, file.uri)
            return _Head(file, layout)


def _tasks(flow: Flow, found: list[_Head]) -> tuple[list[Layout], Rows]:
    """The layouts, and text.TASKS that occupy every core."""
    layouts = list(dict.fromkeys(_shared(head.layout) for head in found))
    numbers = {layout: number for number, layout in enumerate(layouts)}
    total = sum(head.file.size for head in found)
    size = min(
        max(total // (TASKS_PER_CORE * flow.cores), _SMALL_PIECE),
        _LARGE_PIECE,
    )
    rows, costs = [], []
    for head in found:
        file, pieces = head.file, _pieces(head, size)
        edges = [file.size * i // pieces for i in range(pieces + 1)]
        facts = {
            "source_file": file.relative,
            "uri": file.uri,
            "size": file.size,
            "modified": file.modified,
        }
        facts |= {"layout": numbers[_shared(head.layout)]}
        rows += [facts | {"start": start, "end": end} for start, end in pairwise(edges)]
        cost = text.unpacked_bytes(file.name, file.size) + _FILE_COST
        costs += [cost / pieces] * pieces
    return layouts, flow.deal(pa.Table.from_pylist(rows, text.TASKS), np.array(costs))


def _shared(layout: Layout) -> Layout:
    """What many files have in common: objects are read by their keys, whichever the first ones
    have.
    """
    return replace(layout, names=(), width=0) if layout.dialect.kind == "json" else layout


def _pieces(head: _Head, size: int) -> int:
    can_cut = cuts.can_cut(head.layout.dialect) and streams.compression(head.file.name) is None
    return max(1, math.ceil(head.file.size / size)) if can_cut else 1


def _check_keys(
    tasks: Rows, layouts: list[Layout], keys: list[str], path: str, found: list[_Head]
) -> None:
    """Raises SchemaError for a key that no record has; those that only the first ones lack are
    rare, and wanted all the same.
    """
    counting = partial(text.count_keys, layouts=layouts, keys=keys, opened=raw_files.open_unchanged)
    found_keys = (
        tasks.map(counting, text.KEYS).table().group_by("key").aggregate([("count", "sum")])
    )
    counts = dict(zip(*(column.to_pylist() for column in found_keys.columns), strict=True))
    absent = sorted(key for key, count in counts.items() if not count)
    if absent:
        names = heads.shorten(
            ", ".join(dict.fromkeys(name for head in found for name in head.layout.names))
        )
        raise SchemaError(
            f"{path}: no record has {', '.join(map(repr, absent))}; the first ones have: {names}; "
            "correct columns in the pipeline file"
        )
