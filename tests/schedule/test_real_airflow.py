"""A real Airflow loads what schedule wrote, and runs it: `make test-airflow`."""

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from emberline.datasets import manifest as manifests
from emberline.schedule import airflow as dags
from emberline.schedule import files as schedules
from emberline.schedule.job import Job

pytestmark = pytest.mark.airflow

BIN = Path(__file__).parents[2] / ".venv-airflow" / "bin"
DAY = "2026-01-02"
PIPELINE = """
[spark]
master = "local[1]"
driver_memory = "1g"
shuffle_partitions = 2
conf."spark.driver.extraJavaOptions" = "-XX:TieredStopAtLevel=1"
conf."spark.sql.codegen.wholeStage" = "false"
[ratings]
path = "ratings.csv"
columns = { user_id = "u", item_id = "i", value = "v" }
[split]
by = "fraction"
fraction = 0.2
[als]
rank = 2
iterations = 2
blocks = 2
[recommend]
top_k = 3
[evaluate]
k = [3]
"""
KILL = """
import importlib.util, pathlib, sys, threading, time
from airflow.exceptions import AirflowFailException

spec = importlib.util.spec_from_file_location("dag_file", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
task = module.dag.get_task("prepare-ratings")

def kill():
    while not pathlib.Path(sys.argv[2]).exists():
        time.sleep(0.05)
    task.on_kill()

threading.Thread(target=kill, daemon=True).start()
try:
    task.execute({})
except AirflowFailException as error:
    print(error)
"""

MakeJob = Callable[..., Job]
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Airflow:
    """An Airflow with its own home and an empty folder of DAGs."""

    home: Path

    @property
    def dags(self) -> Path:
        return self.home / "dags"

    @property
    def environment(self) -> dict[str, str]:
        settings = {
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__DAGS_FOLDER": str(self.dags),
            "CORE__UNIT_TEST_MODE": "False",
        }
        return (
            os.environ
            | {f"AIRFLOW__{key}": value for key, value in settings.items()}
            | {"AIRFLOW_HOME": str(self.home)}
        )

    def __call__(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [str(BIN / "airflow"), *arguments]
        return subprocess.run(
            command,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1800,
        )

    def test(self, dag: str) -> tuple[dict[str, str], str]:
        """Run the DAG for `DAY`; returns the state of each task, and all that was logged."""
        ran = self("dags", "test", dag, DAY)
        with closing(sqlite3.connect(self.home / "airflow.db")) as database:
            return (
                dict(
                    database.execute(
                        "SELECT task_id, state FROM task_instance WHERE dag_id = ?", (dag,)
                    )
                ),
                ran.stdout,
            )


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    if not BIN.is_dir():
        pytest.skip("there is no Airflow: make test-airflow")
    made = Airflow(tmp_path_factory.mktemp("airflow"))
    made.dags.mkdir()
    migrated = made("db", "migrate")
    assert migrated.returncode == 0, migrated.stdout
    return made


@pytest.fixture
def install(airflow: Airflow) -> Callable[[Job], str]:
    """`install(job)` writes the job's DAG, with a short time between retries, and returns its
    name.
    """

    def write(job: Job) -> str:
        (path,) = schedules.write(dags.files(job), airflow.dags)
        delay = "RETRY_DELAY = timedelta(minutes=5)"
        source = path.read_text()
        assert delay in source
        path.write_text(source.replace(delay, "RETRY_DELAY = timedelta(seconds=1)"))
        return path.stem

    return write


def test_a_planned_pipeline_runs_in_airflow_and_leaves_its_datasets(
    airflow: Airflow, command: Command, tmp_path: Path
) -> None:
    rows = [
        f"u{user},i{item},{1 + (user * item) % 5}"
        for user in range(12)
        for item in range(10)
        if (user + item) % 3
    ]
    (tmp_path / "ratings.csv").write_text("\n".join(["u,i,v", *rows, ""]))
    (tmp_path / "small.toml").write_text(PIPELINE)
    planned = command(
        "schedule",
        "airflow",
        "small.toml",
        "--root",
        "in 100% {{ ds }}",
        "--to",
        airflow.dags,
    )
    assert planned.stdout == f"wrote {airflow.dags / 'emberline_small.py'}\n", planned.stderr
    states, log = airflow.test("emberline_small")
    assert states == dict.fromkeys(
        ("prepare-ratings", "train-als", "recommend", "evaluate"), "success"
    ), log
    root = tmp_path / "in 100% {{ ds }}"
    assert manifests.load(root, "recommendations").rows == 12 * 3
    assert manifests.exists(root, "metrics")


def test_bad_data_is_not_retried(airflow: Airflow, command: Command, tmp_path: Path) -> None:
    (tmp_path / "ratings.csv").write_text("u,item,v\nu1,i1,1\n")
    (tmp_path / "bad.toml").write_text(PIPELINE)
    assert command("schedule", "airflow", "bad.toml", "--to", airflow.dags).returncode == 0
    states, log = airflow.test("emberline_bad")
    expected = {
        "prepare-ratings": "failed",
        "train-als": "upstream_failed",
        "recommend": "upstream_failed",
        "evaluate": "upstream_failed",
    }
    assert states == expected, log
    assert log.count("prepare-ratings ended with exit code 3: emberline: error: ") >= 1
    assert log.count("Command exited with return code 3") == 1


def test_what_was_stopped_is_retried_and_each_try_is_for_the_same_day(
    airflow: Airflow,
    install: Callable[[Job], str],
    make_job: MakeJob,
    program: Path,
    calls: Callable[[], list[list[str]]],
) -> None:
    first = program.with_name("first")
    program.write_text(
        program.read_text() + f"[ -e '{first}' ] || {{ touch '{first}'; exit 75; }}\n"
    )
    job = replace(
        make_job(name="stopped", overrides=("report.title={{ ds }} {% if %}",)), is_dated=True
    )
    states, log = airflow.test(install(job))
    assert states == dict.fromkeys((step.stage for step in job.steps), "success"), log
    called = [[*step.command[1:], "--date", DAY] for step in job.steps]
    assert [call[1:] for call in calls()] == [called[0], *called]
    assert log.count("Command exited with return code 75") == 1


def test_a_backfill_is_of_each_day_of_its_span(
    airflow: Airflow, install: Callable[[Job], str], make_job: MakeJob
) -> None:
    name = install(replace(make_job(name="backfilled"), is_dated=True))
    listed = airflow("dags", "reserialize")
    assert listed.returncode == 0, listed.stdout
    span = (
        "--from-date",
        "2026-01-01",
        "--to-date",
        "2026-01-03T23:59",
        "--max-active-runs",
        "1",
        "--dry-run",
    )
    told = airflow("backfill", "create", "--dag-id", name, *span).stdout
    assert [day for day in range(1, 6) if f"| 2026-01-0{day} 03:00:00" in told] == [1, 2, 3], told


def test_retries_come_to_an_end(
    airflow: Airflow, install: Callable[[Job], str], make_job: MakeJob, program: Path
) -> None:
    program.write_text("#!/bin/sh\nexit 1\n")
    states, log = airflow.test(install(make_job(name="endless")))
    assert states["prepare-ratings"] == "failed", log
    assert log.count("Command exited with return code 1") == 3


def test_a_killed_task_kills_its_process(
    airflow: Airflow,
    install: Callable[[Job], str],
    make_job: MakeJob,
    program: Path,
    tmp_path: Path,
) -> None:
    started = tmp_path / "started"
    program.write_text(f"#!/bin/sh\ntouch '{started}'\nexec sleep 60\n")
    file = airflow.dags / f"{install(make_job(name='killed'))}.py"
    command = [str(BIN / "python"), "-c", KILL, str(file), str(started)]
    ran = subprocess.run(
        command, env=airflow.environment, capture_output=True, text=True, timeout=120
    )
    assert "prepare-ratings ended with exit code -15" in ran.stdout, ran.stderr
