"""Tasks in processes of their own: the same rows, the same errors, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest

from emberline.datasets.rows import among
from emberline.errors import DataError, WorkerError
from emberline.flow.here import Here
from emberline.flow.rows import NUMBERS

PLACES = pa.schema([("process", pa.int64()), ("id", pa.int64())])


def in_process(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        time.sleep(0.2)
        yield pa.record_batch([[os.getpid()] * batch.num_rows, batch["id"]], schema=PLACES)


def refusing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch["id"][0].as_py() == 1:
            raise DataError("the second part is no part")
        yield batch


def failing(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    raise KeyError("a bug of ours")
    yield from batches


def dying(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from batches


@pytest.fixture
def here() -> Iterator[Here]:
    with Here(memory=1 << 30, cores=2) as flow:
        yield flow


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_rows_are_those_of_threads_by_as_many_processes_as_cores_which_end_with_the_flow() -> None:
    with Here(memory=1 << 30, cores=2) as flow:
        found = flow.numbers(6).apart(in_process, PLACES).table()
        assert found["id"].to_pylist() == list(range(6))
        processes = set(found["process"].to_pylist())
        assert len(processes) == 2 and os.getpid() not in processes
        again = flow.numbers(4).apart(in_process, PLACES).table()
        assert set(again["process"].to_pylist()) <= processes
    assert not any(map(is_alive, processes))


def test_an_error_is_the_one_that_the_task_raised(here: Here) -> None:
    with pytest.raises(DataError, match=r"^the second part is no part$"):
        here.numbers(3).apart(refusing, NUMBERS).table()
    task = partial(among, place=0, ids=[0, 2])
    assert here.numbers(3).apart(task, NUMBERS).table()["id"].to_pylist() == [0, 2]


def test_a_bug_comes_with_the_place_where_it_is(here: Here) -> None:
    with pytest.raises(KeyError) as caught:
        here.numbers(1).apart(failing, NUMBERS).table()
    assert "in failing" in caught.value.__notes__[0]


def test_a_process_that_was_killed_is_told(here: Here) -> None:
    with pytest.raises(WorkerError, match=r"was killed by signal 9; where memory is short"):
        here.numbers(1).apart(dying, NUMBERS).table()


def test_no_process_outlives_a_killed_parent(tmp_path: Path) -> None:
    program = (
        "from tests.flow.test_processes import in_process, PLACES\n"
        "from emberline.flow.here import Here\n"
        "with Here(memory=1 << 30, cores=2) as flow:\n"
        "    first = flow.numbers(2).apart(in_process, PLACES).table()\n"
        "    print(*first['process'].to_pylist(), flush=True)\n"
        "    flow.numbers(1000).apart(in_process, PLACES).table()\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert parent.stdout is not None
    processes = list(map(int, parent.stdout.readline().split()))
    assert processes
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 30
    while any(map(is_alive, processes)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
