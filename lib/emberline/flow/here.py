"""Work on blocks by threads of this process: NumPy, SciPy and BLAS compute without Python's lock.

What tasks hand to each other stays in memory; BLAS has one thread in each task.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, closing
from dataclasses import dataclass
from operator import itemgetter
from threading import Event
from typing import Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from emberline.datasets import rows as dataset_rows
from emberline.datasets.footers import check_footers
from emberline.datasets.manifest import Dataset, Part
from emberline.datasets.parts import write_rows
from emberline.datasets.rows import Task
from emberline.datasets.storage import Location
from emberline.flow import dealing
from emberline.flow.processes import Processes
from emberline.flow.rows import NUMBERS, TASKS_PER_CORE, Cells, Room
from emberline.numeric.arrays import Float64

Batches = Iterator[pa.RecordBatch]
Result = TypeVar("Result")
_HELD = "rows that were brought together are gone once they are read: keep what is read twice"


class Here:
    """Tasks on threads: as many at once as there are cores, while a `with` lasts."""

    def __init__(self, memory: int, cores: int) -> None:
        self.cores, self.threads, self.parts = cores, cores, TASKS_PER_CORE * cores
        self.room = Room(driver=memory, worker=None, core=memory // self.cores)
        self._interrupted = Event()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._pool = self._open.enter_context(ThreadPoolExecutor(self.cores, "block"))
        self._open.enter_context(threadpool_limits(1))
        self.processes = self._open.enter_context(closing(Processes()))
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def read(self, dataset: Dataset) -> "HereDataset":
        check_footers(dataset)
        return HereDataset(self, dataset)

    def numbers(self, count: int) -> "HereRows":
        return HereRows(self, NUMBERS, count, lambda part: iter([_numbers([part])]))

    def deal(self, work: pa.Table, costs: Float64) -> "HereRows":
        parts, number = dealing.parts_of(costs, self.cores)
        edges = np.searchsorted(number, np.arange(parts + 1))

        def dealt(part: int) -> Batches:
            return iter(work.slice(edges[part], edges[part + 1] - edges[part]).to_batches())

        return HereRows(self, work.schema, parts, dealt)

    def share(self, array: Any) -> "HereShared":
        return HereShared(array)

    def run(self, count: int, job: Callable[[int], Result]) -> list[Result]:
        """What a job comes to for every part, in their order. Raises what the first of them
        raises, when none is at work any more.
        """
        self._interrupted.clear()
        futures: list[Future[Result]] = [self._pool.submit(job, part) for part in range(count)]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = [future for future in futures if future in ended and future.exception()]
            return [future.result() for future in failed or futures]
        except BaseException:
            self._interrupted.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise

    def watched(self, batches: Batches) -> Batches:
        """The batches, unless another part's task has failed, or somebody wants to end."""
        with ExitStack() as stack:
            if isinstance(batches, Generator):
                stack.enter_context(closing(batches))
            for batch in batches:
                if self._interrupted.is_set():
                    raise InterruptedError("another part has failed")
                yield batch


def _numbers(numbers: Sequence[int]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(numbers, pa.int64())], schema=NUMBERS)


@dataclass
class HereShared:
    """An array as it is."""

    value: Any

    def destroy(self) -> None:
        self.value = None


@dataclass(frozen=True)
class HereDataset:
    """A dataset's rows, read by row groups."""

    flow: Here
    dataset: Dataset

    def count(self) -> int:
        return self.dataset.rows

    def map(self, columns: Sequence[str], task: Task, schema: pa.Schema) -> "HereRows":
        groups = len(dataset_rows.row_groups(self.dataset))
        parts = min(TASKS_PER_CORE * self.flow.cores, groups)
        chosen = [
            range(part * groups // parts, (part + 1) * groups // parts) for part in range(parts)
        ]

        def read(part: int) -> Batches:
            numbers = iter([_numbers(chosen[part])])
            return dataset_rows.hand_over(numbers, self.dataset, columns, task)

        return HereRows(self.flow, schema, parts, read)


@dataclass
class HereRows:
    """Rows in parts: `batches` makes those of a part, once `ready` has done what they need to have
    been done before.
    """

    flow: Here
    schema: pa.Schema
    parts: int
    batches: Callable[[int], Batches]
    ready: Callable[[], None] = lambda: None

    def map(self, task: Task, schema: pa.Schema) -> "HereRows":
        return self._then(schema, lambda part: task(self.batches(part)))

    def apart(self, task: Task, schema: pa.Schema) -> "HereRows":
        processes = self.flow.processes
        return self._then(schema, lambda part: processes.results(task, self.batches(part)))

    def select(self, names: Mapping[str, str]) -> "HereRows":
        schema = pa.schema([self.schema.field(old).with_name(new) for new, old in names.items()])
        olds = list(names.values())

        def chosen(part: int) -> Batches:
            for batch in self.batches(part):
                yield pa.RecordBatch.from_arrays([batch.column(old) for old in olds], schema=schema)

        return self._then(schema, chosen)

    def _then(self, schema: pa.Schema, batches: Callable[[int], Batches]) -> "HereRows":
        return HereRows(self.flow, schema, self.parts, batches, self.ready)

    def together(self, parts: int, by: str = "block", order: Sequence[str] = ()) -> "HereRows":
        gathered = _Gathered(self, parts, by, tuple(order))
        return HereRows(self.flow, self.schema, parts, gathered.take, gathered.ready)

    def in_cells(self, cells: Cells, is_left: bool) -> "HereRows":
        schema = pa.schema([("cell", pa.int32()), ("is_left", pa.bool_()), *self.schema])

        def copies(part: int) -> Batches:
            for row in _single(self.batches(part)):
                first = row["block"][0].as_py() % cells.modulo * cells.scale
                for number in range(cells.times):
                    cell = pa.array([first + number * cells.stride], pa.int32())
                    columns = [cell, pa.array([is_left]), *row.columns]
                    yield pa.RecordBatch.from_arrays(columns, schema=schema)

        return self._then(schema, copies)

    def union(self, other: "HereRows") -> "HereRows":
        def either(part: int) -> Batches:
            return self.batches(part) if part < self.parts else other.batches(part - self.parts)

        def ready() -> None:
            self.ready()
            other.ready()

        return HereRows(self.flow, self.schema, self.parts + other.parts, either, ready)

    def beside(self, other: "HereRows") -> "HereRows":
        schema = pa.schema([*self.schema, *other.schema])
        others = other.kept()

        def ready() -> None:
            self.ready()
            others.ready()

        def pairs(part: int) -> Batches:
            rights = _single(batch for found in others.computed() for batch in found)
            for left in _single(self.batches(part)):
                for right in rights:
                    arrays = [*left.columns, *right.columns]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return HereRows(self.flow, schema, self.parts, pairs, ready)

    def kept(self) -> "HereRows":
        return _Kept(self)

    def free(self) -> None:
        """Nothing: nothing was kept."""

    def computed(self) -> list[list[pa.RecordBatch]]:
        """Every part's batches."""
        self.ready()
        return self.flow.run(self.parts, lambda part: list(self.flow.watched(self.batches(part))))

    def table(self) -> pa.Table:
        found = [_conformed(batch, self.schema) for part in self.computed() for batch in part]
        return pa.Table.from_batches(found, self.schema)

    def write(
        self,
        folder: Location,
        schema: pa.Schema,
        through: Task = dataset_rows.unchanged,
        group_rows: int | None = None,
    ) -> list[Part]:
        def written(part: int) -> Part | None:
            batches = self.flow.watched(through(self.batches(part)))
            return write_rows(batches, folder, f"part-{part:05d}", schema, group_rows)

        self.ready()
        return [part for part in self.flow.run(self.parts, written) if part is not None]


class _Kept(HereRows):
    """Rows that are in memory from the first time that they are asked for."""

    def __init__(self, rows: HereRows) -> None:
        super().__init__(rows.flow, rows.schema, rows.parts, self._part, self._compute)
        self._rows: HereRows | None = rows
        self._found: list[list[pa.RecordBatch]] = []

    def kept(self) -> HereRows:
        return self

    def free(self) -> None:
        self._found = []

    def computed(self) -> list[list[pa.RecordBatch]]:
        self.ready()
        return self._found

    def _part(self, part: int) -> Batches:
        return iter(self._found[part])

    def _compute(self) -> None:
        if self._rows is not None:
            self._found, self._rows = self._rows.computed(), None


class _Gathered:
    """Rows of other parts, brought together by a number; each part is handed over once."""

    def __init__(self, rows: HereRows, parts: int, by: str, order: tuple[str, ...]) -> None:
        self._rows, self._parts, self._by, self._order = rows, parts, by, order
        self._found: dict[int, list[pa.RecordBatch]] | None = None

    def ready(self) -> None:
        self._rows.ready()
        scattered = self._rows.flow.run(self._rows.parts, self._scatter)
        self._found = {part: [] for part in range(self._parts)}
        for pieces in scattered:
            for part, batches in pieces.items():
                self._found[part] += batches

    def take(self, part: int) -> Batches:
        assert self._found is not None and part in self._found, _HELD
        batches = self._found.pop(part)
        return iter(_ordered(batches, self._order) if self._order else batches)

    def _scatter(self, part: int) -> dict[int, list[pa.RecordBatch]]:
        pieces: dict[int, list[pa.RecordBatch]] = {}
        for batch in self._rows.flow.watched(self._rows.batches(part)):
            numbers = batch.column(self._by).to_numpy() % self._parts
            for number in np.unique(numbers).tolist():
                rows = batch if batch.num_rows == 1 else batch.filter(pa.array(numbers == number))
                pieces.setdefault(number, []).append(rows)
        return pieces


def _conformed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same values: a file's columns say besides that nothing is missing."""
    columns = [batch.column(field.name).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _single(batches: Iterable[pa.RecordBatch]) -> list[pa.RecordBatch]:
    """Each row as a batch of its own."""
    return [batch.slice(at, 1) for batch in batches for at in range(batch.num_rows)]


def _ordered(batches: list[pa.RecordBatch], order: tuple[str, ...]) -> list[pa.RecordBatch]:
    """Each row as a batch, in the order of some columns."""
    every = _single(batches)
    keys = [tuple(row[name][0].as_py() for name in order) for row in every]
    return [row for _, row in sorted(zip(keys, every, strict=True), key=itemgetter(0))]
