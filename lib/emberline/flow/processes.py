"""Tasks in processes of their own, for what is computed by Python: threads would wait for each
other.

A process starts when there is a task for which none is free, does one after the other, and never
outlives this one.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

import pyarrow as pa

from emberline.datasets.rows import Task
from emberline.errors import WorkerError

_MODULE = "emberline.flow.worker"


class Processes:
    """Those of one flow, until they are closed."""

    def __init__(self) -> None:
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._started: list[_Process] = []

    def results(self, task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """What a task makes of the batches, of which there are few. Raises what it raises, and
        WorkerError where its process has ended.
        """
        process = self._process()
        try:
            yield from process.results(task, batches)
        except BaseException:
            process.kill()  # in the middle of something
            raise
        self._idle.put(process)

    def _process(self) -> "_Process":
        with suppress(Empty):
            return self._idle.get_nowait()
        self._started.append(_Process())
        return self._started[-1]

    def close(self) -> None:
        """End them all."""
        for process in self._started:
            process.kill()


class _Process:
    def __init__(self) -> None:
        path = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", _MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
            process_group=0,  # Ctrl-C is for this one
        )

    def results(self, task: Task, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        self._ask(task, packed(batches))
        while (answer := self._answer()) is not None:
            if isinstance(answer, BaseException):
                raise answer
            yield from unpacked(answer)

    def _ask(self, *request: Any) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # which the answer tells
            pickle.dump(request, self._process.stdin)
            self._process.stdin.flush()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            code = self._process.wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
            raise WorkerError(
                f"a process that did a share of the work {how}; where memory is short, the system"
                " kills what takes most of it: set spark.master to fewer cores, such as local[1],"
                " and run it again"
            ) from None

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()


def packed(batches: Iterable[pa.RecordBatch]) -> list[bytes]:
    """Each batch by itself, as bytes."""
    found = []
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        found.append(sink.getvalue().to_pybytes())
    return found


def unpacked(content: Iterable[bytes]) -> Iterator[pa.RecordBatch]:
    """What `packed` has packed."""
    for each in content:
        yield from pa.ipc.open_stream(each)
