"""Teams that Spark starts in its tasks: small real processes behind real agents, and what is
left of them.
"""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from emberline.errors import ConfigError, DataError, Preempted
from emberline.launch.supervise import supervise
from emberline.launch.team import Limits, Work
from emberline.sections.cnn import TeamConfig
from emberline.spark.barrier import Barrier

HOST = socket.gethostname()
QUICK = Limits(start=60, silence=4, stall=60, stop=10, restarts=1)
Team = Callable[..., dict[str, Any]]


@pytest.fixture
def run(spark: SparkSession, team_worker: Path, tmp_path: Path) -> Iterator[Team]:
    """`run(code, code)` has a process of each rank run its code, in Spark's tasks; in the end
    none is left.
    """
    spark.sparkContext.addPyFile(str(team_worker))

    def run_team(
        *codes: str, limits: Limits = QUICK, timeout: float = 45, **interests: Any
    ) -> dict[str, Any]:
        config = TeamConfig(workers=len(codes), launcher="spark", start_timeout=timeout)
        with Barrier(
            spark, config, module="team_worker", environment={"FOLDER": str(tmp_path)}
        ) as launcher:
            return supervise(launcher, Work("train-cnn", {"do": codes}, **interests), limits)

    yield run_team
    deadline = time.monotonic() + 10
    while left := processes_of(tmp_path):
        assert time.monotonic() < deadline, f"{left} are left"
        time.sleep(0.1)
    assert spark.sparkContext.statusTracker().getActiveJobsIds() == []


def processes_of(folder: Path) -> list[int]:
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if f"FOLDER={folder}".encode() in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:
            continue
    return found


LOOK = "requests.send(Done(dict(config=config, environment=dict(os.environ), path=sys.path)))"


def test_members_know_each_other_and_run_with_the_executors_modules(
    run: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = run(LOOK, "time.sleep(600)")
    addresses = answer["config"]["cluster"]["worker"]
    assert len({address.rpartition(":")[2] for address in addresses}) == 2
    assert answer["config"]["task"] == {"type": "worker", "index": 0}
    assert "CUDA_VISIBLE_DEVICES" not in answer["environment"]


def test_a_worker_that_is_killed_is_named_and_a_new_job_starts_all_again(
    run: Team, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    run("if first(): lose()", "if first(): print('of rank 1', flush=True); kill(9)")
    assert f"rank 1 on {HOST} was killed by signal 9" in caplog.text
    assert f"[rank 1 on {HOST}] of rank 1\n" in capfd.readouterr().err


@pytest.mark.faults
def test_a_worker_that_is_stopped_is_named_and_does_not_stay_behind(
    run: Team, caplog: pytest.LogCaptureFixture
) -> None:
    run("if first(): time.sleep(600)", "if first(): kill(signal.SIGSTOP)")
    assert f"rank 1 on {HOST} has been silent for 4 s" in caplog.text


@pytest.mark.faults
def test_a_task_that_is_lost_is_named(run: Team, caplog: pytest.LogCaptureFixture) -> None:
    """The agent's process is killed; its trainer, which is stopped and could not end by itself,
    dies with it.
    """
    run("if first(): time.sleep(600)", "if first(): os.kill(os.getppid(), 9); kill(signal.SIGSTOP)")
    assert (
        f"rank 1 on {HOST} is gone: the connection has ended, its executor or its machine was lost"
        in caplog.text
    )


def test_an_error_of_ours_is_raised_as_it_was(run: Team) -> None:
    with pytest.raises(DataError, match=r"^part-00000 is damaged$"):
        run("fail(DataError('part-00000 is damaged'))", "time.sleep(600)")


def test_asked_to_stop_members_are_told(run: Team, tmp_path: Path) -> None:
    wait = (
        "steps(80); (folder / 'at-work').touch()\nwhile not requests.stopping():"
        " steps(1)\nfail(Preempted('saved'))"
    )
    with pytest.raises(Preempted, match=r"^saved$"):
        run(wait, wait, stopping=(tmp_path / "at-work").exists)


def test_too_few_slots_are_an_error_within_a_minute(run: Team) -> None:
    began = time.monotonic()
    with pytest.raises(
        ConfigError,
        match=(
            r"^cnn\.team\.workers = 4, but Spark runs no more than 2 tasks at once \(waited 2 s for"
            r" more\): "
        ),
    ):
        run("pass", "pass", "pass", "pass", timeout=2)
    assert time.monotonic() - began < 10


def test_executors_load_no_tensorflow_no_pydantic_and_no_stage(
    spark: SparkSession, run: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's modules are looked at from a job of the same Python workers, after it has run
    in them: workers of this test, as those of others have loaded what these asked for.
    """
    monkeypatch.setitem(spark.sparkContext.environment, "WORKERS_OF", str(tmp_path))
    run("pass", "pass")

    def look(batches: Iterator[Any]) -> Iterator[Any]:
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"module": list(sys.modules)})

    loaded = {
        row["module"]
        for row in spark.range(2, numPartitions=2).mapInArrow(look, "module string").collect()
    }
    assert "emberline.launch.agent" in loaded
    assert not loaded & {
        "tensorflow",
        "keras",
        "pydantic",
        "emberline.sections.config",
        "emberline.runs",
        "emberline.spark",
    }


ENDING = """
import os, signal, sys
from pyspark.sql import SparkSession
from emberline.errors import EmberlineError
from emberline.sections.cnn import TeamConfig
from emberline.spark.barrier import Barrier

spark = SparkSession.builder.master("local[2]").getOrCreate()
context = spark.sparkContext
if sys.argv[1] == "stopped":
    context._jsc.sc().stop()
else:
    os.kill(context._gateway.proc.pid, signal.SIGKILL)
    context._gateway.proc.wait()
try:
    Barrier(spark, TeamConfig(workers=2, launcher="spark", start_timeout=30)).start()
except EmberlineError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.faults
@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_where_spark_ends_before_its_python_hears_of_it_no_team_is_started_again(way: str) -> None:
    """As when spark-submit is asked to stop: trainers on executors are gone a moment before."""
    words = [sys.executable, "-c", ENDING, way]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout.startswith("Preempted train-cnn was asked to stop"), ended.stderr
