"""Stages under spark-submit on a real cluster, a standalone one on loopback: the same results
as in local mode, whatever dies.
"""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyspark
import pytest

from emberline import pipelines, stages
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.sections.stage import Stage
from emberline.stages import STAGES

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "spark-conf"
SPARK_HOME = Path(pyspark.__file__).parent
# What Spark's own scripts and Hadoop's file system need of a worker's PATH. No python.
COMMANDS = ("bash", "chmod", "dirname", "env", "getconf", "gzip", "java", "ls", "sh", "tar")
# The settings of others do not reach what is started here.
CLEAN = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("SPARK", "PYSPARK", "PYTHON"))
}
# A short run is mostly Java warming up. A default file system that is not there: no stage may ask
# it.
SETTINGS = {
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": (
        f"-XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=file:{CONF}/log4j2.properties"
    ),
    "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.hadoop.fs.defaultFS": "hdfs://127.0.0.1:1/",
}
AssertEqualResults = Callable[..., None]
Weights = Callable[[Path], dict[str, np.ndarray]]
Completed = subprocess.CompletedProcess[str]


def cluster_script(*arguments: Any, path: str = os.environ["PATH"]) -> Completed:
    program = [sys.executable, str(CONF / "cluster.py"), *map(str, arguments)]
    return subprocess.run(
        program, capture_output=True, text=True, timeout=300, env=CLEAN | {"PATH": path}
    )


def processes() -> list[str]:
    """Every process's id, its parent's id and its command line."""
    listed = subprocess.run(
        ["ps", "-e", "-ww", "-o", "pid=,ppid=,args="], check=True, capture_output=True, text=True
    )
    return listed.stdout.splitlines()


def processes_naming(text: str) -> list[str]:
    return [line for line in processes() if text in line]


@dataclass(frozen=True)
class Executor:
    """An executor's process: `folder` is where it works and logs."""

    pid: int
    folder: Path

    def tasks(self, state: str) -> int:
        log = self.folder / "stderr"  # which the worker makes a moment after the process
        return (
            log.read_text(errors="replace").count(f"Executor: {state} task") if log.exists() else 0
        )


@dataclass(frozen=True)
class Cluster:
    """A running cluster, to which scripts in jobs/ are submitted with the package as a zip."""

    folder: Path
    master: str
    package: Path
    started: list["subprocess.Popen[bytes]"]

    def submit(
        self, script: Path, log: Path, *arguments: Any, **settings: str
    ) -> "subprocess.Popen[bytes]":
        chosen = (
            SETTINGS
            | {"spark.eventLog.dir": log.parent.as_uri()}
            | {k.replace("_", "."): v for k, v in settings.items()}
        )
        confs = [word for key, value in chosen.items() for word in ("--conf", f"{key}={value}")]
        where = [
            "--properties-file",
            CONF / "standalone.conf",
            "--load-spark-defaults",
            "--master",
            self.master,
            *confs,
        ]
        program = [
            SPARK_HOME / "bin/spark-submit",
            *where,
            "--py-files",
            self.package,
            script,
            *arguments,
        ]
        environment = CLEAN | {
            "SPARK_HOME": str(SPARK_HOME),
            "PYSPARK_PYTHON": sys.executable,
            "STARTED_BY": str(self.folder),
        }
        with log.open("wb") as file:
            self.started.append(
                subprocess.Popen(
                    [*map(str, program)], cwd=PROJECT, stdout=file, stderr=file, env=environment
                )
            )
        return self.started[-1]

    def run(
        self, stage: Stage, pipeline: Path, root: Path, log: Path, *more: Any, **settings: str
    ) -> None:
        assert self.start(stage, pipeline, root, log, *more, **settings).wait(timeout=1800) == 0, (
            log.read_text()
        )

    def start(
        self, stage: Stage, pipeline: Path, root: Path, log: Path, *more: Any, **settings: str
    ) -> "subprocess.Popen[bytes]":
        script = PROJECT / "jobs" / f"{stage.name.replace('-', '_')}.py"
        return self.submit(script, log, "--config", pipeline, "--root", root, *more, **settings)

    def executors(self) -> list[Executor]:
        """The executors that run now: children of the workers."""
        workers = set(json.loads((self.folder / "cluster.json").read_text())["pids"].values())
        found = []
        for line in processes():
            pid, parent, command = line.split(maxsplit=2)
            app, number = (
                re.search(rf" --{name} (\S+)", command) for name in ("app-id", "executor-id")
            )
            if int(parent) in workers and app and number:
                found.append(Executor(int(pid), self.folder / "work" / app[1] / number[1]))
        return found

    def worker_logs(self) -> str:
        return "".join(
            path.read_text(errors="replace") for path in self.folder.glob("worker-*.log")
        )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip for --py-files, with what `make build` puts into it."""
    folder = tmp_path_factory.mktemp("package")
    shutil.copytree(PROJECT / "lib", folder / "lib", ignore=shutil.ignore_patterns("__pycache__"))
    return Path(shutil.make_archive(str(folder / "emberline"), "zip", folder / "lib"))


@pytest.fixture(scope="module")
def bare_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for a PATH on which there is all that a worker needs but Python."""
    folder = tmp_path_factory.mktemp("bin")
    for name in COMMANDS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


@pytest.fixture(scope="module")
def servers(bare_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a master and two workers of one core, which find no Python on their PATH."""
    folder = tmp_path_factory.mktemp("cluster")
    started = cluster_script(
        "start", "--folder", folder, "--port", 0, "--ui-port", 0, path=str(bare_path)
    )
    assert started.returncode == 0, started.stderr
    try:
        yield folder
    finally:
        cluster_script("stop", "--folder", folder)


@pytest.fixture
def cluster(servers: Path, package: Path) -> Iterator[Cluster]:
    """The servers, for one test: what it started ends with it, or the next one would wait for a
    free core.
    """
    master = json.loads((servers / "cluster.json").read_text())["master"]
    cluster = Cluster(servers, master, package, [])
    yield cluster
    for process in cluster.started:
        process.kill()
        process.wait()


# --------------------------------------------------------------------------------------------------
# the script


@pytest.mark.faults
def test_a_cluster_starts_once_and_stops_without_a_trace(tmp_path: Path) -> None:
    begin = ("start", "--folder", tmp_path, "--workers", 1, "--port", 0, "--ui-port", 0)
    started = cluster_script(*begin)
    assert started.returncode == 0, started.stderr
    master = json.loads((tmp_path / "cluster.json").read_text())["master"]
    assert f"Master: {master}\n" in started.stdout
    assert len(processes_naming(str(tmp_path))) == 2
    again = cluster_script(*begin)
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert f"running already, at {master}" in again.stderr
    assert cluster_script("stop", "--folder", tmp_path).stdout == "Stopped master, worker-1\n"
    assert processes_naming(str(tmp_path)) == []
    assert (
        cluster_script("stop", "--folder", tmp_path).stdout
        == f"No cluster is running in {tmp_path}\n"
    )


@pytest.mark.faults
def test_a_start_that_fails_says_why_and_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = cluster_script(
            "start", "--folder", tmp_path, "--port", taken.getsockname()[1], "--ui-port", 0
        )
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "Address already in use" in refused.stderr
    assert processes_naming(str(tmp_path)) == []
    assert not (tmp_path / "cluster.json").exists()


def test_a_process_that_got_the_id_of_one_of_the_clusters_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as stranger:
        old = {
            "folder": str(tmp_path),
            "settings": str(tmp_path / "old.conf"),
            "pids": {"master": stranger.pid},
        }
        (tmp_path / "cluster.json").write_text(json.dumps(old))
        assert (
            cluster_script("stop", "--folder", tmp_path).stdout
            == f"No cluster is running in {tmp_path}\n"
        )
        assert stranger.poll() is None
        stranger.terminate()


# --------------------------------------------------------------------------------------------------
# the stages


@pytest.mark.faults
def test_the_demo_gives_the_same_results_on_a_cluster_as_in_local_mode(
    cluster: Cluster, tmp_path: Path, assert_equal_results: AssertEqualResults
) -> None:
    demo = PROJECT / "jobs/pipelines/demo.toml"
    local, there = tmp_path / "local", tmp_path / "there"
    less = ("--set", "cnn.epochs=3")
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "run",
        str(demo),
        "--root",
        str(local),
        *less,
    ]
    subprocess.run(program, check=True, capture_output=True, timeout=1800)
    for stage in stages.select(pipelines.load(demo)):
        cluster.run(stage, demo, there, tmp_path / f"{stage.name}.log", *less)
    for path in there.glob("*/manifest.json"):
        damage.verify(manifests.load(there, path.parent.name))
    assert_equal_results(there, local, atol=1e-6)
    assert_equal_measures(there, local, 1e-6)


def measures(root: Path) -> Any:
    (path,) = manifests.load(root, "metrics").paths
    return [
        row["value"]
        for report in json.loads(path.read_text())["reports"].values()
        for row in report["metrics"]
    ]


def assert_equal_measures(root: Path, expected: Path, tolerance: float) -> None:
    assert measures(root) == pytest.approx(measures(expected), abs=tolerance)


# those that are Spark's alone, and those whose tasks leave files for the tasks after them
LEAVING_FILES = ("prepare-images", "export-shards")


@pytest.mark.faults
@pytest.mark.parametrize(
    "stage",
    [stage for stage in STAGES if stage.engine == "spark" or stage.name in LEAVING_FILES],
    ids=lambda stage: stage.name,
)
def test_killing_an_executor_during_a_stage_changes_nothing(
    stage: Stage,
    cluster: Cluster,
    request: pytest.FixtureRequest,
    pipeline: Path,
    tmp_path: Path,
    assert_equal_results: AssertEqualResults,
) -> None:
    is_small = stage.settings(pipelines.load(pipeline)) is not None
    pipeline, undisturbed = (
        (pipeline, request.getfixturevalue("finished"))
        if is_small
        else request.getfixturevalue("classes")
    )
    root, log = tmp_path / "root", tmp_path / "log"
    shutil.copytree(undisturbed, root)
    process = cluster.start(stage, pipeline, root, log, "--force")
    victim = wait_for_an_executor_at_work(cluster, process)
    os.kill(victim.pid, signal.SIGKILL)
    assert process.poll() is None
    assert process.wait(timeout=1800) == 0, log.read_text()
    app, number = victim.folder.parts[-2:]
    assert (
        f"Executor {app}/{number} finished with state EXITED message Command exited with code 137"
        in cluster.worker_logs()
    )
    assert f"Lost executor {number} " in log.read_text()
    assert run_id(root, stage) != run_id(undisturbed, stage)
    names = stage.writes(pipelines.load(pipeline))
    if names == ("metrics",):
        assert_equal_measures(root, undisturbed, 1e-9)
    else:
        assert_equal_results(root, undisturbed, names, 1e-6)


def wait_for_an_executor_at_work(cluster: Cluster, process: "subprocess.Popen[bytes]") -> Executor:
    """One that is in the middle of a task, and has finished others, whose results will be
    missing.
    """
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before an executor was killed"
        for executor in cluster.executors():
            if executor.tasks("Running") > executor.tasks("Finished") >= 2:
                return executor
        time.sleep(0.05)
    raise AssertionError("waited too long for an executor at work")


def run_id(root: Path, stage: Stage) -> str:
    name = json.loads((root / "_status" / f"{stage.name}.json").read_text())["run_id"]
    return str(name)


# --------------------------------------------------------------------------------------------------
# trainers


AT_ONCE = {"spark_dynamicAllocation_enabled": "false"}


def trainers(cluster: Cluster) -> dict[int, int]:
    """The trainer processes on the cluster's executors and beside what was submitted to it: rank
    and process id.
    """
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if b"emberline.cnn.worker" in (place / "cmdline").read_bytes().split(b"\0"):
                environment = dict(
                    line.split("=", 1)
                    for line in (place / "environ").read_text().split("\0")
                    if "=" in line
                )
                folders = (str((place / "cwd").resolve()), environment.get("STARTED_BY", ""))
                if any(Path(folder).is_relative_to(cluster.folder) for folder in folders):
                    found[json.loads(environment["TF_CONFIG"])["task"]["index"]] = int(place.name)
    return found


@pytest.mark.faults
@pytest.mark.parametrize(
    ("victim", "report"),
    [
        ("trainer", "rank 1 on .* was killed by signal 9"),
        ("executor", "rank . on .* is gone: the connection has ended"),
    ],
)
def test_killing_a_trainer_or_its_executor_during_training_is_reported_and_training_goes_on(
    victim: str, report: str, cluster: Cluster, pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    (stage,) = [stage for stage in STAGES if stage.name == "train-cnn"]
    root, log = Path(shutil.copytree(finished, tmp_path / "root")), tmp_path / "log"
    settings = ["team.workers=2", 'team.launcher="spark"', "epochs=40", "checkpoint_steps=2"]
    settings.append("patience=1000")
    words = [word for setting in settings for word in ("--set", f"cnn.{setting}")]
    process = cluster.start(stage, pipeline, root, log, "--force", *words, **AT_ONCE)
    wait_for_a_checkpoint(process, root, log)
    os.kill(
        trainers(cluster)[1] if victim == "trainer" else cluster.executors()[0].pid, signal.SIGKILL
    )
    assert process.wait(timeout=600) == 0, log.read_text()
    told = log.read_text()
    assert re.search(f'team_failed stage=train-cnn because="{report}', told), told
    assert told.count("team_failed") == 1
    assert re.search(r"\[rank 0 on .*\] .* training_resumed", told)
    history = manifests.load(root, "cnn").manifest.info["history"]
    assert [row["epoch"] for row in history] == list(range(1, 41))
    assert trainers(cluster) == {}


@pytest.mark.faults
def test_trainers_on_a_cluster_learn_what_one_process_learns(
    cluster: Cluster, pipeline: Path, finished: Path, tmp_path: Path, weights: Weights
) -> None:
    """55 steps of gradient descent with momentum, by two processes and by two devices of one: sums
    of two are the same in any order.

    One device rounds otherwise. Sooner or later a unit whose sum is nearly 0 fires in one of them
    only, and from there on they part; which step that is, is up to the data.
    """
    (stage,) = [stage for stage in STAGES if stage.name == "train-cnn"]
    alone, spread = (
        Path(shutil.copytree(finished, tmp_path / name)) for name in ("alone", "spread")
    )
    settings = ['optimizer.name="sgd"', "optimizer.learning_rate=0.002", "epochs=11", "patience=11"]
    teams = {alone: ["team.replicas=2"], spread: ["team.workers=2", 'team.launcher="spark"']}
    for root, more in teams.items():
        words = [word for setting in settings + more for word in ("--set", f"cnn.{setting}")]
        cluster.run(
            stage, pipeline, root, tmp_path / f"{root.name}.log", "--force", *words, **AT_ONCE
        )
    histories = [manifests.load(root, "cnn").manifest.info["history"] for root in (alone, spread)]
    assert 11 * -(-manifests.load(alone, "shards_train").rows // 8) > 50
    for name in ("loss", "val_loss"):
        assert [row[name] for row in histories[1]] == pytest.approx(
            [row[name] for row in histories[0]], rel=1e-5
        )
    left, right = weights(alone), weights(spread)
    assert left.keys() == right.keys() and len(left) > 8
    for name, values in left.items():
        np.testing.assert_allclose(right[name], values, rtol=0, atol=1e-5, err_msg=name)


def wait_for_a_checkpoint(process: "subprocess.Popen[bytes]", root: Path, log: Path) -> None:
    wait_until(lambda: list(root.glob("_work/train-cnn/*/checkpoints/step-*")), process, log)


def wait_until(condition: Callable[[], Any], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.faults
def test_too_few_slots_for_the_workers_are_a_configuration_error_within_a_minute(
    cluster: Cluster, pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    (stage,) = [stage for stage in STAGES if stage.name == "train-cnn"]
    root, log = Path(shutil.copytree(finished, tmp_path / "root")), tmp_path / "log"
    words = [
        "--set",
        "cnn.team.workers=4",
        "--set",
        "cnn.team.launcher=spark",
        "--set",
        "cnn.team.start_timeout=20",
    ]
    process = cluster.start(stage, pipeline, root, log, "--force", *words, **AT_ONCE)
    assert process.wait(timeout=120) == 2, log.read_text()
    assert "cnn.team.workers = 4, but Spark runs no more than 2 tasks at once" in log.read_text()
    status = json.loads((root / "_status" / "train-cnn.json").read_text())
    assert (status["state"], status["exit_code"]) == ("failed", 2)


@pytest.mark.faults
@pytest.mark.parametrize("launcher", ["local", "spark"])
def test_sigterm_to_spark_submit_itself_saves_and_the_next_run_goes_on(
    launcher: str, cluster: Cluster, pipeline: Path, finished: Path, tmp_path: Path
) -> None:
    """A cluster knows of spark-submit's JVM only, which ends without a word to its Python.

    Trainers beside it save once more. Those on executors end with it, and go on from the last epoch
    that was saved.
    """
    (stage,) = [stage for stage in STAGES if stage.name == "train-cnn"]
    root = Path(shutil.copytree(finished, tmp_path / "root"))
    words = [
        "--set",
        f"cnn.team.launcher={launcher}",
        "--set",
        "cnn.team.workers=2",
        "--set",
        "cnn.epochs=1000",
        "--set",
        "cnn.patience=1000",
        "--force",
    ]
    for sign in ("epoch_finished epoch=2", "training_resumed"):
        log = tmp_path / f"{sign}.log"
        process = cluster.start(stage, pipeline, root, log, *words, **AT_ONCE)
        wait_until(lambda told=log, sign=sign: sign in told.read_text(), process, log)
        assert trainers(cluster).keys() == {0, 1}
        process.terminate()
        assert process.wait(timeout=60) == 143
        deadline = time.monotonic() + 60
        while processes_naming(
            f"{stage.name.replace('-', '_')}.py --config {pipeline} --root {root}"
        ):
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        status = json.loads((root / "_status" / "train-cnn.json").read_text())
        assert (status["state"], status["exit_code"]) == ("stopped", 75), log.read_text()
        assert "asked to stop" in status["error"]
        assert launcher == "spark" or re.search(
            r"epoch \d+, step \d+ of 5 is saved", status["error"]
        )
    assert trainers(cluster) == {}


# --------------------------------------------------------------------------------------------------
# the archive

LOOK = """
import json, sys
from pyspark.sql import SparkSession

def look(batches):
    import numpy, pandas, PIL, pyarrow, scipy
    places = [sys.executable, *(module.__file__ for module in (numpy, pandas, PIL, pyarrow, scipy))]
    yield pyarrow.RecordBatch.from_pydict({"text": [json.dumps(places)]})

spark = SparkSession.builder.getOrCreate()
rows = spark.range(4, numPartitions=4).mapInArrow(look, "text string").collect()
open(sys.argv[1], "w").write(json.dumps([json.loads(row["text"]) for row in rows]))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The executors' Python and packages; this project's is not among them."""
    path = tmp_path_factory.mktemp("archive") / "environment.tar.gz"
    subprocess.run(
        [sys.executable, CONF / "archive.py", path], check=True, capture_output=True, env=CLEAN
    )
    return path


@pytest.mark.faults
def test_the_command_alone_brings_its_package_to_a_cluster(
    cluster: Cluster,
    archive: Path,
    pipeline: Path,
    finished: Path,
    tmp_path: Path,
    assert_equal_results: AssertEqualResults,
) -> None:
    root = Path(shutil.copytree(finished, tmp_path / "root"))
    own = {"archives": f"{archive}#environment", "pyspark.python": "./environment/bin/python3"}
    settings = {"spark.master": cluster.master} | {
        f"spark.conf.spark.{key}": value for key, value in own.items()
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "run",
        pipeline,
        "--root",
        root,
        *words,
    ]
    done = subprocess.run(
        [*program, "--only", "prepare-images", "--force"],
        capture_output=True,
        text=True,
        env=CLEAN,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    assert_equal_results(root, finished, ["images", "rejected_images"])


@pytest.mark.faults
def test_a_worker_without_python_runs_what_the_environment_archive_brings(
    cluster: Cluster,
    bare_path: Path,
    archive: Path,
    pipeline: Path,
    finished: Path,
    tmp_path: Path,
    assert_equal_results: AssertEqualResults,
) -> None:
    for name in ("python", "python3"):
        looked_for = subprocess.run(
            ["sh", "-c", f"command -v {name}"], env={"PATH": str(bare_path)}, capture_output=True
        )
        assert looked_for.returncode != 0
    job, seen, log = (tmp_path / name for name in ("look.py", "seen.json", "log"))
    brought = {
        "spark_archives": f"{archive}#environment",
        "spark_pyspark_python": "./environment/bin/python3",
        "spark_pyspark_driver_python": sys.executable,
    }
    job.write_text(LOOK)
    assert cluster.submit(job, log, seen, **brought).wait(timeout=1800) == 0, log.read_text()
    for place in itertools.chain(*json.loads(seen.read_text())):
        assert place.startswith(str(cluster.folder / "work")) and "/environment/" in place
    root = Path(shutil.copytree(finished, tmp_path / "root"))
    (images,) = [stage for stage in STAGES if stage.name == "prepare-images"]
    cluster.run(images, pipeline, root, log, "--force", **brought)
    assert_equal_results(root, finished, ["images", "rejected_images"])
