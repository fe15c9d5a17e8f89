"""Spark's own ends, brought about: each is told in one line, with what its memory was."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from py4j.protocol import Py4JNetworkError
from pyspark.sql import SparkSession

from emberline.errors import ConfigError, EmberlineError, StorageError, WorkerError
from emberline.sections.config import Config
from emberline.spark import failures
from emberline.spark.session import SparkEngine

RATINGS = """
[ratings]
path = "log.csv"
columns = { user_id = "user", item_id = "item", value = "stars" }
"""
# A stage in a Spark of its own, as it goes wrong, and the exit code and the text of what is raised.
END = """
import os, signal, sys, threading
from pathlib import Path
from types import SimpleNamespace
from emberline.sections.config import Config
from emberline.sections.spark import SparkConfig
from emberline.errors import EmberlineError
from emberline.spark.session import SparkEngine
from pyspark import SparkContext

def kill_java(run, spark):
    threading.Timer(1, os.kill, (SparkContext._gateway.proc.pid, signal.SIGKILL)).start()
    spark.sql("select count(*) from range(1000000) a cross join range(1000000) b").collect()

def use_up_the_heap(run, spark):
    spark.sql("select length(repeat(cast(id as string), 600000000)) from range(4)").collect()

stage = SimpleNamespace(target=f"__main__:{sys.argv[1]}", engine="spark")
control, outputs = SimpleNamespace(stopping=lambda: False), SimpleNamespace(root=Path.cwd())
run = SimpleNamespace(stage=stage, control=control, outputs=outputs)
try:
    with SparkEngine(Config(spark=SparkConfig(master="local[1]", driver_memory="512m"))) as engine:
        engine.call(run)
except EmberlineError as error:
    print(error.exit_code, error)
"""


def die(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield from batches


def kill_a_worker(run: Any, spark: SparkSession) -> None:
    spark.range(2, numPartitions=1).mapInArrow(die, "id long").collect()


def refuse(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    raise ConfigError("no credentials; give them to the environment")
    yield from batches


def refuse_in_a_worker(run: Any, spark: SparkSession) -> None:
    spark.range(2, numPartitions=1).mapInArrow(refuse, "id long").collect()


def _call(function: Callable[..., None], root: Path, is_stopping: bool = False) -> None:
    stage = SimpleNamespace(target=f"{__name__}:{function.__name__}", engine="spark")
    control, outputs = SimpleNamespace(stopping=lambda: is_stopping), SimpleNamespace(root=root)
    run: Any = SimpleNamespace(stage=stage, control=control, outputs=outputs)
    with SparkEngine(Config()) as engine:
        engine.call(run)


def test_a_python_worker_that_is_killed_is_told_in_one_line(
    spark: SparkSession, root: Path
) -> None:
    said = (
        r"^a Python worker of Spark was killed, .* \(spark\.driver_memory = 1g, [\d.]+ GiB .*\):"
        r" .*local\[2\]\"\)$"
    )
    with pytest.raises(WorkerError, match=said):
        _call(kill_a_worker, root)


def test_what_a_python_worker_refuses_is_refused_with_its_own_exit_code(
    spark: SparkSession, root: Path
) -> None:
    """Workers open raw files themselves: what is missing for that is a matter of set-up there,
    too.
    """
    with pytest.raises(ConfigError, match=r"^no credentials; give them to the environment$"):
        _call(refuse_in_a_worker, root)


def test_what_ends_while_the_run_is_stopped_is_left_to_the_runner(
    spark: SparkSession, root: Path
) -> None:
    """A service's signal goes to Java, too."""
    with pytest.raises(Exception, match="Python worker exited") as raised:
        _call(kill_a_worker, root, is_stopping=True)
    assert not isinstance(raised.value, EmberlineError)


def test_a_stage_of_spark_on_a_full_disk_is_told_in_one_line(
    run: Callable[..., Any],
    tmp_path: Path,
    root: Path,
    small_disk: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = "".join(
        f"user-{row % 977},item-{row * 7919 % 1009},{row % 5 + 1}\n" for row in range(40_000)
    )
    (tmp_path / "log.csv").write_text("user,item,stars\n" + lines)
    small_disk(root, "100k")
    with pytest.raises(
        StorageError,
        match=rf"^the disk of {root}\S* is full: [\d,]+ of 102,400 bytes are left, .*make room",
    ) as refused:
        run(RATINGS)
    assert refused.value.exit_code == 1 and "\n" not in str(refused.value)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        (
            "kill_java",
            "1",
            (
                "Spark's Java was killed, as a system that is short of memory does"
                " (spark.driver_memory = 512m, "
            ),
        ),
        ("use_up_the_heap", "2", "Spark's Java has run out of memory ("),
    ],
)
def test_java_that_ends_is_told_with_its_memory(
    end: str, code: str, said: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", END, end], capture_output=True, text=True, timeout=180, cwd=tmp_path
    )
    assert done.stdout.startswith(f"{code} {said}"), done.stdout + done.stderr
    assert "spark.driver_memory = 512m" in done.stdout and len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            "x: java.lang.OutOfMemoryError: GC overhead limit exceeded\n\tat y",
            ConfigError,
            "(GC overhead limit exceeded; spark.",
        ),
        (
            (
                "ExecutorLostFailure (executor 3 exited) Reason: Container killed by YARN for"
                " exceeding memory limits.\nDriver"
            ),
            WorkerError,
            (
                "Spark lost an executor: Container killed by YARN for exceeding memory limits.;"
                " look at its log"
            ),
        ),
        ("java.io.IOException: Disk quota exceeded\n\tat x", StorageError, "is over its quota"),
    ],
)
def test_what_a_cluster_tells_is_understood(
    text: str, kind: type[EmberlineError], said: str, tmp_path: Path
) -> None:
    found = failures.explain(RuntimeError(text), failures.Memory("4g", False), tmp_path)
    assert isinstance(found, kind) and said in str(found)


def test_a_stages_own_fault_is_not_sparks(tmp_path: Path) -> None:
    assert failures.explain(ValueError("no"), failures.Memory("4g", True), tmp_path) is None


class Untold(Exception):
    """As Py4J's error of Java's, whose text is Java's to say."""

    def __str__(self) -> str:
        raise Py4JNetworkError("An error occurred while trying to connect to the Java server")


def test_an_error_that_java_has_not_lived_to_tell_is_told_as_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_exit_code", lambda: 52)
    told = failures.explain(Untold(), failures.Memory("512m", True), tmp_path)
    assert str(told).startswith("Spark's Java has run out of memory (Java ended itself;")


@pytest.mark.parametrize(
    "found",
    [
        'Cannot invoke "org.apache.spark.scheduler.DAGScheduler.cleanupQueryJobs(long)" because the'
        ' return value of "org.apache.spark.SparkContext.dagScheduler()" is null',
        "Job 3 cancelled because SparkContext was shut down",
        "Cannot call methods on a stopped SparkContext.",
    ],
)
def test_a_call_into_a_java_that_is_ending_is_told_as_its_end(
    found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failures, "_exit_code", lambda: 52)
    told = failures.explain(RuntimeError(found), failures.Memory("512m", True), tmp_path)
    assert str(told).startswith("Spark's Java has run out of memory (Java ended itself;")
