"""What ends Spark rather than a stage: Java or a Python worker that was killed, a heap that is
too small, a disk that is full.
"""

import re
import subprocess
from dataclasses import dataclass

from py4j.protocol import Py4JError, Py4JNetworkError
from pyspark import SparkContext

from emberline.datasets import disk
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, WorkerError
from emberline.launch import memory

_HEAP = re.compile(r"java\.lang\.OutOfMemoryError: ([^\n]+)")
_LOST = re.compile(r"ExecutorLostFailure \([^)]*\) Reason: ([^\n]+)")
_WORKER = re.compile(
    r"Python worker exited unexpectedly|EOFError reached before Python server acknowledged"
)
_OUT_OF_HEAP = (3, 52)  # exit codes: of -XX:+ExitOnOutOfMemoryError, of Spark itself
_KILLED = (-9, 137)
_END_SECONDS = 10.0  # from the first call that fails to the end of Java
# what a call finds of a context that its Java is about to end
_SHUT = re.compile(
    r"SparkContext was shut down|stopped SparkContext"
    r'|the return value of "org\.apache\.spark\.SparkContext\.\w+\(\)" is null'
)


@dataclass(frozen=True)
class Memory:
    """What Spark may take: the heap of its driver, as set, and whether tasks run in it, too."""

    heap: str
    is_local: bool

    def describe(self) -> str:
        return f"spark.driver_memory = {self.heap}, {memory.describe()}"

    @property
    def setting(self) -> str:
        return (
            "spark.driver_memory"
            if self.is_local
            else "spark.driver_memory or spark.executor.memory"
        )


def explain(error: Exception, given: Memory, root: Location) -> EmberlineError | None:
    """The error that says what happened to Spark; None where nothing did, and the stage itself
    is to blame.
    """
    text = text_of(error)
    if text is None:
        return _java_ended(given)
    if refused := disk.refusal(error, root):
        return refused
    if found := _HEAP.search(text):
        return _out_of_heap(found[1].strip(), given)
    if _WORKER.search(text):
        return WorkerError(
            f"a Python worker of Spark was killed, {_SHORT} ({given.describe()}): {_FEWER}"
        )
    if found := _LOST.search(text):
        return WorkerError(
            f"Spark lost an executor: {found[1].strip()}; look at its log, or raise"
            " spark.executor.memoryOverhead"
        )
    if isinstance(error, ConnectionError | Py4JNetworkError) or _SHUT.search(text):
        return _java_ended(given)
    return None


def text_of(error: Exception) -> str | None:
    """What an error says; None where that is Java's to say, and Java has ended."""
    try:
        return str(error)
    except (ConnectionError, Py4JError):
        return None


_SHORT = "as a system that is short of memory does"
_FEWER = 'end what else takes memory, or run less at once (spark.master = "local[2]")'


def _java_ended(given: Memory) -> EmberlineError:
    code = _exit_code()
    if code in _OUT_OF_HEAP:
        return _out_of_heap("Java ended itself", given)
    if code in _KILLED:
        return WorkerError(
            f"Spark's Java was killed, {_SHORT} ({given.describe()}): {_FEWER}, or lower"
            " spark.driver_memory"
        )
    how = "" if code is None else f" with exit code {code}" if code > 0 else f" by signal {-code}"
    return WorkerError(
        f"Spark's Java has ended{how} ({given.describe()}); its own lines are above; run it again"
    )


def _out_of_heap(what: str, given: Memory) -> EmberlineError:
    return ConfigError(
        f"Spark's Java has run out of memory ({what}; {given.describe()}); raise {given.setting}"
    )


def _exit_code() -> int | None:
    """How the Java that this process has started ended; None for another one."""
    process: subprocess.Popen[bytes] | None = getattr(SparkContext._gateway, "proc", None)
    try:
        return process.wait(_END_SECONDS) if process else None
    except subprocess.TimeoutExpired:
        return None
