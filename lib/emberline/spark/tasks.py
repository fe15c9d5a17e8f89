"""Requests that are each answered by a process beside one task of Spark's."""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark import TaskContext
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from emberline.errors import WorkerError
from emberline.launch import errand
from emberline.launch.messages import Done, Failed, message_of
from emberline.spark import failures

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
_MIB = 1 << 20


def answer(session: SparkSession, module: str, request: dict[str, Any]) -> dict[str, Any]:
    """How a process of a module, beside a task, answers a request, in which `cores` is how many
    the task has. Several threads may ask at once.

    Raises the error that it raised, WorkerError where there is no answer.
    """
    try:
        asked = session.range(1, numPartitions=1).mapInArrow(_task(module, request), "line string")
        (row,) = asked.collect()
    except (PySparkException, Py4JError) as error:
        text = failures.text_of(error) or str(error)
        raise WorkerError(f"a task of Spark's failed: {text.strip().splitlines()[-1]}") from error
    message = message_of(row["line"])
    if isinstance(message, Failed):
        raise message.to_error()
    assert isinstance(message, Done)
    return message.answer


def _task(module: str, request: dict[str, Any]) -> Task:
    """What the task does. It is sent by value."""

    def ask(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            pass
        context = TaskContext.get()
        assert context is not None
        found = errand.answered(module, request | {"cores": context.cpus()})
        yield pa.RecordBatch.from_pydict({"line": [found.to_line().decode()]})

    return ask


def room(session: SparkSession) -> tuple[int, int]:
    """Bytes of memory that a task has of its executor's, and its cores."""
    context = session.sparkContext
    scala, conf = context._jsc.sc(), context.getConf()
    executors = max(1, scala.getExecutorMemoryStatus().size() - 1)  # the driver is among them
    usual = max(1, context.defaultParallelism // executors)
    cpus, cores = (
        int(conf.get(name, str(default)) or default)
        for name, default in (("spark.task.cpus", 1), ("spark.executor.cores", usual))
    )
    return int(scala.executorMemory()) * _MIB * cpus // max(cpus, cores), cpus
