"""Rows written as the outputs of a stage."""

from typing import Any

import pyarrow as pa

from emberline.datasets.info import Facts
from emberline.datasets.manifest import Dataset
from emberline.datasets.parts import write_rows
from emberline.datasets.rows import Task, unchanged
from emberline.datasets.schema import TABLES
from emberline.flow.rows import Rows
from emberline.runs.stage_run import StageRun


def write(
    rows: Rows,
    run: StageRun[Any],
    name: str,
    *facts: Facts,
    rank: int | None = None,
    seed: int | None = None,
    through: Task = unchanged,
    group_rows: int | None = None,
) -> Dataset:
    """Write what a task makes of rows as the output `name` of this run, with what is said of it;
    its columns are the table's, and its row groups have so many rows, where it is said.
    """
    parts = rows.write(run.outputs.folder(name), TABLES[name], through, group_rows)
    run.outputs.add(name, parts, *facts, rank=rank, seed=seed)
    return run.outputs.written(name)


def write_here(
    table: pa.Table,
    run: StageRun[Any],
    name: str,
    *facts: Facts,
    rank: int | None = None,
    seed: int | None = None,
) -> None:
    """Write a table that is in this process as the output `name`, with what is said of it."""
    folder, schema = run.outputs.folder(name), TABLES[name]
    part = write_rows(iter(table.to_batches()), folder, "part-00000", schema)
    run.outputs.add(name, [part] if part else [], *facts, rank=rank, seed=seed)
