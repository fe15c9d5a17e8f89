"""What work on blocks is written in: rows of Arrow in parts, what tasks make of them, and how they
come together.

A task is a function of one part's batches (`datasets/rows.py`). `here.py` runs tasks on threads of
this process, `spark/flow.py` on Spark's workers; both give the same rows, in any order of parts.
Nothing is computed before `kept`, `table` or `write` asks for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import pyarrow as pa

from emberline.datasets.manifest import Dataset, Part
from emberline.datasets.rows import Task, unchanged
from emberline.datasets.storage import Location
from emberline.numeric import shared
from emberline.numeric.arrays import Float64

NUMBERS = pa.schema([("id", pa.int64())])
TASKS_PER_CORE = 3  # tasks per core at least, where there is work enough: some cores are slower


@dataclass(frozen=True)
class Cells:
    """The cells of a grid that rows go to by the number of their block:
    `block % modulo * scale + n * stride`, for each n below `times`.
    """

    modulo: int
    scale: int
    stride: int
    times: int


class Rows(Protocol):
    """Rows in parts."""

    @property
    def flow(self) -> "Flow":
        """Who works on them."""

    def map(self, task: Task, schema: pa.Schema) -> Self:
        """What the task makes of each part."""

    def apart(self, task: Task, schema: pa.Schema) -> Self:
        """As `map`, in processes of their own: for seconds of work of Python's, of few rows."""

    def select(self, names: Mapping[str, str]) -> Self:
        """Some columns, by their new names, in this order."""

    def together(self, parts: int, by: str = "block", order: Sequence[str] = ()) -> Self:
        """In so many parts anew: a row whose column `by` is n is in part n % parts. The rows of a
        part are in the order of some columns.
        """

    def in_cells(self, cells: "Cells", is_left: bool) -> Self:
        """Each row once in each of its cells of a grid, with columns `cell` and `is_left`."""

    def union(self, other: Self) -> Self:
        """These parts and others, of the same columns."""

    def beside(self, other: Self) -> Self:
        """Each row beside each one of the others, whose columns have other names."""

    def kept(self) -> Self:
        """The same rows, computed once, until they are freed."""

    def free(self) -> None:
        """Forget what was kept."""

    def table(self) -> pa.Table:
        """All rows, in this process: for few or small ones."""

    def write(
        self,
        folder: Location,
        schema: pa.Schema,
        through: Task = unchanged,
        group_rows: int | None = None,
    ) -> list[Part]:
        """Write what the task makes of each part, where that is not empty, as a part of a dataset,
        in the schema's columns; in row groups of so many rows, where it is said.
        """


class Source(Protocol):
    """Rows that tasks begin with, such as a dataset's."""

    def count(self) -> int:
        """How many rows there are."""

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> Rows:
        """What the task makes, part by part, of batches of some columns, in this order."""


class Shared(shared.Shared, Protocol):
    """A value that all tasks have until it is destroyed."""

    def destroy(self) -> None:
        """Free what it takes; nobody may ask for the value any more."""


@dataclass(frozen=True)
class Room:
    """How many bytes there are: for what is sent to this process and from it to everybody
    (`driver`), for one worker (None: no limit of its own), and for a core's share of what passes
    between tasks.
    """

    driver: int
    worker: int | None
    core: int


class Flow(Protocol):
    """Who runs tasks."""

    @property
    def cores(self) -> int:
        """How many tasks run at once."""

    @property
    def threads(self) -> int:
        """How many threads a task may use where a library keeps Python's lock meanwhile, so that
        other tasks of the process wait.
        """

    @property
    def parts(self) -> int:
        """Into how many parts rows are best brought together."""

    @property
    def room(self) -> Room:
        """What its memory is."""

    def read(self, dataset: Dataset) -> Source:
        """A dataset's rows. Raises DataError for a damaged part."""

    def numbers(self, count: int) -> Rows:
        """NUMBERS from 0 to before `count`, a part each."""

    def deal(self, work: pa.Table, costs: Float64) -> Rows:
        """Descriptions of work (n rows) that cost so much each (n,), in parts that cost about the
        same: see `dealing`.
        """

    def share(self, array: Any) -> Shared:
        """Give an array to all tasks."""
