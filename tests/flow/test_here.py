"""Work on blocks by threads of this process: what comes together, what is kept, and how it ends."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.flows import rows_of
from threadpoolctl import threadpool_info

from emberline.datasets.rows import Task
from emberline.errors import DataError
from emberline.flow.here import Here
from emberline.flow.rows import Flow

ROWS = pa.schema([("block", pa.int32()), ("value", pa.int64())])
BOTH = pytest.mark.parametrize("flow", ["here", "spark"], indirect=True)


def numbers(count: int) -> pa.Table:
    """Values 0, 1, ... in blocks 3 apart."""
    values = np.arange(count)
    return pa.table([pa.array(values * 3 % 7, pa.int32()), values], schema=ROWS)


def sums() -> Task:
    """All rows of a part to one: how many there are as the block, and the sum of the values."""

    # workers get what is within a function by value: they load no tests
    def task(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        found = pa.Table.from_batches(batches, ROWS)
        total = sum(found["value"].to_pylist())
        yield pa.RecordBatch.from_pylist([{"block": found.num_rows, "value": total}], schema=ROWS)

    return task


@BOTH
@pytest.mark.parametrize("parts", [1, 3, 9])
def test_all_rows_of_a_number_are_in_its_part(flow: Flow, parts: int) -> None:
    together = rows_of(flow, numbers(50), 4).together(parts)
    expected = sorted(
        (len(values), sum(values))
        for part in range(parts)
        if (values := [value for value in range(50) if value * 3 % 7 % parts == part]) or True
    )
    found = together.map(sums(), ROWS).table().to_pylist()
    assert sorted((row["block"], row["value"]) for row in found) == expected


@BOTH
def test_rows_of_a_part_are_in_the_order_asked_for(flow: Flow) -> None:
    together = rows_of(flow, numbers(40), 3).together(2, order=("block", "value"))

    def check(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        is_sorted = rows == sorted(rows)
        row = {"block": int(is_sorted), "value": len(rows)}
        yield pa.RecordBatch.from_pylist([row], schema=ROWS)

    found = together.map(check, ROWS).table().to_pylist()
    assert [row["block"] for row in found] == [1, 1]
    assert sum(row["value"] for row in found) == 40


@BOTH
def test_rows_are_renamed_joined_and_put_beside_each_other(flow: Flow) -> None:
    few, more = rows_of(flow, numbers(2)), rows_of(flow, numbers(3))
    renamed = more.select({"other": "value"})
    pairs = few.select({"value": "value"}).beside(renamed).table().to_pylist()
    assert sorted((row["value"], row["other"]) for row in pairs) == [
        (value, other) for value in range(2) for other in range(3)
    ]
    assert sorted(few.union(more).table()["value"].to_pylist()) == [0, 0, 1, 1, 2]
    assert flow.numbers(3).table()["id"].to_pylist() == [0, 1, 2]


def test_what_is_kept_is_computed_once_and_what_is_not_each_time(flow: Flow) -> None:
    calls: list[int] = []

    def counted(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        calls.append(1)
        return batches

    mapped = rows_of(flow, numbers(6), 2).map(counted, ROWS)
    mapped.table(), mapped.table()
    assert len(calls) == 2 * 2
    kept = mapped.kept()
    assert kept.table() == kept.table()
    kept.map(sums(), ROWS).table()
    assert len(calls) == 3 * 2


def test_rows_brought_together_may_be_read_again(flow: Flow) -> None:
    together = rows_of(flow, numbers(20)).together(3)
    assert together.table() == together.table()


def test_rows_brought_together_that_two_read_at_once_have_to_be_kept(flow: Flow) -> None:
    together = rows_of(flow, numbers(20)).together(3)
    with pytest.raises(AssertionError, match="keep what is read twice"):
        together.union(together).table()
    kept = together.kept()
    assert kept.union(kept).table().num_rows == 40


def test_an_empty_part_is_no_part_of_a_dataset(flow: Flow, tmp_path: Path) -> None:
    parts = rows_of(flow, numbers(7)).together(9).write(tmp_path / "made", ROWS)
    assert sum(part.rows for part in parts) == 7
    assert len(parts) == 7  # of 9: blocks 7 and 8 have no rows
    read = pa.concat_tables([pq.read_table(tmp_path / part.path) for part in parts])
    assert sorted(read["value"].to_pylist()) == list(range(7))


@pytest.mark.parametrize("failing", [0, 1])
def test_a_task_that_fails_ends_the_others_and_is_what_is_told(flow: Flow, failing: int) -> None:
    begun, ended = threading.Event(), threading.Event()

    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        first = next(batches)
        if first["value"][0].as_py() == failing:
            begun.wait(10)
            raise DataError("this part is damaged")
        begun.set()
        try:
            while time.monotonic() < began + 20:  # until it is told
                time.sleep(0.01)
                yield first
        finally:
            ended.set()

    began = time.monotonic()
    with pytest.raises(DataError, match="this part is damaged"):
        rows_of(flow, numbers(4), 2).map(fail, ROWS).table()
    assert ended.wait(10)
    assert time.monotonic() - began < 10


def test_tasks_run_side_by_side_each_with_one_thread_of_blas(flow: Flow) -> None:
    meeting = threading.Barrier(2)

    def meet(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        meeting.wait(10)
        pools = [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]
        assert pools and set(pools) == {1}
        yield from batches

    assert rows_of(flow, numbers(4), 2).map(meet, ROWS).table().num_rows == 4


def test_a_shared_array_is_freed(flow: Flow) -> None:
    shared = flow.share(np.arange(3))
    assert shared.value.tolist() == [0, 1, 2]
    shared.destroy()
    assert shared.value is None


def test_blas_has_all_its_threads_again_afterwards() -> None:
    before = threadpool_info()
    with Here(memory=1 << 20, cores=1):
        pass
    assert threadpool_info() == before
