"""Training by several real TensorFlow processes on loopback: killed, stopped, preempted; it
ends well, and nobody is left.
"""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emberline import pipelines, stages, trainers
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError
from emberline.launch import cluster
from emberline.launch.local import Local
from emberline.launch.network import PrivateNetwork
from emberline.runs import runner
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots
from emberline.runs.stage_run import StageRun, begin, new_run_id
from emberline.sections.config import Config

Publish = Callable[..., None]
Weights = Callable[[Path], dict[str, np.ndarray]]
Process = subprocess.Popen[str]
HOST = socket.gethostname()
PIPELINE = """
[images]
path = "unread"
[shards]
task = "class"
[cnn]
epochs = 4
patience = 1000
checkpoint_steps = 2
[cnn.input]
global_batch_size = 16
[cnn.optimizer]
learning_rate = 0.003
[cnn.team]
workers = 2
[predict]
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    path = tmp_path / "classes.toml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def start(pipeline: Path, root: Path, publish_shards: Publish) -> Iterator[Callable[..., Process]]:
    """`start(overrides)` begins `emberline run --only train-cnn`; in the end none of its
    processes is left.
    """
    publish_shards(root)
    started: list[Process] = []

    def begin(*overrides: str) -> Process:
        words = [word for override in overrides for word in ("--set", override)]
        program = [
            sys.executable,
            "-c",
            "from emberline.cli.main import main; main()",
            "run",
            str(pipeline),
            "--root",
            str(root),
        ]
        environment = {**os.environ, "TF_CONFIG": "of another job"}
        more = ["--only", "train-cnn", "--verbose", *words]
        with (root.parent / "stderr").open("w") as errors:
            process = subprocess.Popen(
                [*program, *more], stdout=errors, stderr=errors, text=True, env=environment
            )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
    wait_for("the end of all trainers", lambda: not running())


def running() -> dict[int, int]:
    """The trainers that this test has started, and that still run: rank and process id."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if b"emberline.cnn.worker" in (place / "cmdline").read_bytes().split(b"\0"):
                lines = (place / "environ").read_text().split("\0")
                environment = dict(line.split("=", 1) for line in lines if "=" in line)
                if this_test(environment) == this_test(os.environ):
                    told = json.loads(environment.get("TF_CONFIG", '{"task": {"index": 0}}'))
                    found[told["task"]["index"]] = int(place.name)
    return found


def this_test(environment: Mapping[str, str]) -> str:
    """Which test a process was started by, without the test's phase."""
    return environment.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]


def wait_for(what: str, condition: Callable[[], Any], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long for {what}"
        time.sleep(0.01)


def checkpoints(root: Path) -> list[Path]:
    return list(root.glob("_work/train-cnn/*/checkpoints/step-*"))


def newest(root: Path) -> int:
    """The step of the newest checkpoint; 0 where there is none."""
    return max(
        [
            0,
            *(
                int(path.stem.removeprefix("step-"))
                for path in checkpoints(root)
                if path.suffix == ".npz"
            ),
        ]
    )


def finish(process: Process, root: Path, seconds: float = 180) -> tuple[int, str]:
    code = process.wait(timeout=seconds)
    return code, (root.parent / "stderr").read_text()


def status(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "_status/train-cnn.json").read_text())
    return content


# --------------------------------------------------------------------------------------------------
# numbers


@pytest.mark.faults
@pytest.mark.parametrize(
    ("model", "is_taught"), [("cifar", False), ("resnet", False), ("cifar", True)]
)
def test_any_number_of_processes_and_devices_learns_the_same(
    model: str,
    is_taught: bool,
    pipeline: Path,
    tmp_path: Path,
    publish_shards: Publish,
    weights: Weights,
) -> None:
    """54 steps of 16 rows; the model that is kept is that of the last epoch, or all of them
    disagree about the best one.

    They are small: a large one lets grow what rounding has put on the other side of a ReLU's zero.
    """

    def trained(**settings: int) -> tuple[list[dict[str, float]], dict[str, np.ndarray]]:
        root = tmp_path / "_".join(map(str, settings.values()))
        publish_shards(root)
        changes = [
            "optimizer.name=sgd",
            "optimizer.learning_rate=0.001",
            "epochs=9",
            f"model={model}",
            "input.flip=true",
            "input.shift=2",
        ]
        changes += [f"team.{key}={value}" for key, value in settings.items()]
        changes += [f"teacher={teacher}"] if is_taught else []
        config = pipelines.load(pipeline, [f"cnn.{change}" for change in changes])
        runner.run(config, root, stages.select(config, only="train-cnn"))
        return manifests.load(root, "cnn").manifest.info["history"], weights(root)

    teacher = tmp_path / "teacher"
    if is_taught:
        publish_shards(teacher)
        of_one = pipelines.load(pipeline, ["cnn.team.workers=1", "cnn.epochs=2"])
        runner.run(of_one, teacher, stages.select(of_one, only="train-cnn"))
    history, one = trained(workers=1, replicas=1)
    assert history[-1]["val_loss"] < history[0]["val_loss"]
    for other_history, other in (trained(workers=1, replicas=2), trained(workers=2, replicas=1)):
        for name in ("loss", "val_loss"):
            assert [row[name] for row in other_history] == pytest.approx(
                [row[name] for row in history], rel=1e-5
            )
        assert [row["val_accuracy"] for row in other_history] == [
            row["val_accuracy"] for row in history
        ]
        assert one.keys() == other.keys() and len(one) > 8
        for name, values in one.items():
            np.testing.assert_allclose(other[name], values, rtol=0, atol=1e-5, err_msg=name)


# --------------------------------------------------------------------------------------------------
# faults


def hurt(process: Process, root: Path, rank: int, number: int) -> float:
    """Send a signal to a trainer as soon as there is a checkpoint; says when."""
    wait_for("a checkpoint", lambda: checkpoints(root) or process.poll() is not None)
    assert process.poll() is None, (root.parent / "stderr").read_text()
    os.kill(running()[rank], number)
    return time.monotonic()


@pytest.mark.faults
def test_a_worker_that_is_killed_is_named_and_training_goes_on_from_the_checkpoint(
    start: Callable[..., Process], root: Path
) -> None:
    process = start("cnn.epochs=10")
    hurt(process, root, 1, signal.SIGKILL)
    code, errors = finish(process, root)
    assert code == 0, errors
    assert f"rank 1 on {HOST} was killed by signal 9" in errors and "restart=1 of=3" in errors
    assert re.search(rf"\[rank 0 on {HOST}\] .* training_resumed epoch=\d+ step=", errors)
    history = manifests.load(root, "cnn").manifest.info["history"]
    assert [row["epoch"] for row in history] == list(range(1, 11))
    assert status(root)["state"] == "succeeded"


@pytest.mark.faults
@pytest.mark.parametrize("kills", [2, 20])
def test_a_training_killed_at_random_steps_ends_with_the_bits_of_an_unbroken_one(
    kills: int,
    start: Callable[..., Process],
    root: Path,
    pipeline: Path,
    tmp_path: Path,
    publish_shards: Publish,
    weights: Weights,
) -> None:
    """Each time some steps after the one before, and within a step: the last checkpoint is two
    steps old at most.
    """
    settings = [
        "team.workers=1",
        f"epochs={kills * 12}",
        f"team.max_restarts={kills}",
        "input.flip=true",
        "input.shift=2",
        "optimizer.schedule=cosine",
    ]
    overrides = [f"cnn.{setting}" for setting in settings]
    process, rng, killed = start(*overrides), random.Random(kills), 0
    for _ in range(kills):
        until = newest(root) + rng.randint(1, 60)
        wait_for(
            "the next moment",
            lambda least=until: newest(root) >= least or process.poll() is not None,
        )
        time.sleep(rng.uniform(0, 0.02))
        before = running()
        if process.poll() is None:
            os.kill(before[0], signal.SIGKILL)
            killed += 1
            wait_for(
                "another trainer",
                lambda old=before: running() not in ({}, old) or process.poll() is not None,
            )
    code, errors = finish(process, root)
    assert code == 0, errors
    assert errors.count("was killed by signal 9") == killed == kills
    unbroken = tmp_path / "unbroken"
    publish_shards(unbroken)
    config = pipelines.load(pipeline, overrides)
    runner.run(config, unbroken, stages.select(config, only="train-cnn"))
    left, right = weights(root), weights(unbroken)
    assert left.keys() == right.keys() and len(left) > 8
    assert all(left[name].tobytes() == right[name].tobytes() for name in left)
    histories = [
        manifests.load(place, "cnn").manifest.info["history"] for place in (root, unbroken)
    ]
    assert [row["loss"] for row in histories[0]] == [row["loss"] for row in histories[1]]


@pytest.mark.faults
@pytest.mark.parametrize(
    ("rank", "number", "report"),
    [
        (0, signal.SIGKILL, "was killed by signal 9"),
        (0, signal.SIGSTOP, r"has been silent for \d+ s: it is stopped, swapping or cut off"),
        (1, signal.SIGSTOP, r"has been silent for \d+ s: it is stopped, swapping or cut off"),
    ],
)
def test_a_trainer_that_dies_or_stops_is_named_within_a_minute_and_training_goes_on(
    rank: int, number: int, report: str, start: Callable[..., Process], root: Path
) -> None:
    process = start("cnn.epochs=40")
    since = hurt(process, root, rank, number)
    text = f"rank {rank} on {HOST} {report}"
    wait_for("the report", lambda: re.search(text, (root.parent / "stderr").read_text()), 60)
    assert time.monotonic() - since < 60
    code, errors = finish(process, root)
    assert code == 0, errors
    assert errors.count("team_failed") == 1
    assert len(manifests.load(root, "cnn").manifest.info["history"]) == 40


@pytest.mark.faults
def test_a_trainer_that_dies_each_time_ends_the_run_with_what_happened(
    start: Callable[..., Process], root: Path
) -> None:
    process = start("cnn.epochs=1000", "cnn.team.max_restarts=1")
    for _ in range(2):
        before = set(running().values())
        wait_for("new trainers", lambda known=before: len(set(running().values()) - known) == 2)
        hurt(process, root, 1, signal.SIGKILL)
    code, errors = finish(process, root)
    assert code == 1
    assert (
        f"emberline: error: train-cnn: given up after 1 restarts: rank 1 on {HOST} was killed by"
        " signal 9" in errors
    )
    assert status(root)["exit_code"] == 1 and "given up" in status(root)["error"]
    assert not (root / "cnn" / "manifest.json").exists()


def stage_run(pipeline: Path, root: Path, *overrides: str) -> StageRun[Any]:
    config: Config = pipelines.load(pipeline, overrides)
    (stage,) = stages.select(config, only="train-cnn")
    inputs = {name: manifests.load(root, name) for name in stage.reads(config)}
    return begin(config, stage, Roots(root), Inputs(inputs), identity=("0" * 64, new_run_id()))


@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_a_port_that_somebody_has_taken_is_given_up_for_another(
    rank: int,
    pipeline: Path,
    root: Path,
    publish_shards: Publish,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish_shards(root)
    with socket.create_server(("", 0)) as other:
        tries = iter([True, False])

        def ports(count: int) -> Sequence[int]:
            free = cluster.free_ports(count)
            if next(tries):
                free[rank] = other.getsockname()[1]
            return free

        run = stage_run(pipeline, root, "cnn.team.max_restarts=0", "cnn.epochs=1")
        with Local(trainers.WORKER, 2, trainers.ENVIRONMENT, ports) as team:
            trainers.run_by(team, run)
    assert next(tries, "used up") == "used up"
    assert list(run.outputs.manifests) == ["cnn"]


@pytest.mark.faults
def test_a_trainer_that_cannot_write_is_not_started_again(
    pipeline: Path,
    root: Path,
    publish_shards: Publish,
    small_disk: Callable[..., None],
    command: Callable[..., Any],
) -> None:
    """The disk is full before the first checkpoint."""
    small_disk(root / "_work", "20k")
    publish_shards(root)
    done = command(
        "run", pipeline, "--root", root, "--only", "train-cnn", "--set", "cnn.team.workers=1"
    )
    assert done.returncode == 1
    assert re.search(
        rf"^emberline: error: the disk of {root}/_work/\S+ is full: .* of 20,480 bytes are left, ",
        done.stderr,
        re.M,
    )
    assert "Traceback" not in done.stderr and "restart" not in done.stderr
    assert status(root)["state"] == "failed" and "is full" in status(root)["error"]


@pytest.mark.faults
def test_nobody_else_reaches_trainers_on_one_machine_and_no_proxy_stands_between_them(
    start: Callable[..., Process],
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    within_reach: Callable[[int], set[tuple[int, int]]],
) -> None:
    """TensorFlow's servers listen on all interfaces, and read and write files for whoever asks."""
    try:
        PrivateNetwork().__enter__().__exit__(None, None, None)
    except OSError as refusal:
        pytest.skip(f"no network can be made here: {refusal}")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    process = start("cnn.epochs=3")
    wait_for("a checkpoint", lambda: newest(root) or process.poll() is not None)
    team = running()
    assert set(team) == {0, 1}, (root.parent / "stderr").read_text()
    assert within_reach(process.pid) == set()
    for pid in team.values():
        told = json.loads(
            dict(
                v.split("=", 1) for v in Path(f"/proc/{pid}/environ").read_text().split("\0") if v
            )["TF_CONFIG"]
        )
        for address in told["cluster"]["worker"]:
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), 5)
    code, errors = finish(process, root)
    assert code == 0, errors
    assert "trainers_within_reach" not in errors


# --------------------------------------------------------------------------------------------------
# preemption


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_that_is_asked_to_stop_saves_and_the_next_one_continues_it(
    workers: int, start: Callable[..., Process], root: Path
) -> None:
    """The next one with the other number of workers."""
    process = start("cnn.epochs=1000", "cnn.checkpoint_steps=1000", f"cnn.team.workers={workers}")
    wait_for("the first epoch", lambda: checkpoints(root))
    process.terminate()
    code, errors = finish(process, root, 40)
    assert code == 75, errors
    assert errors.splitlines()[-1].startswith(
        "emberline: error: training was asked to stop; epoch "
    )
    assert (status(root)["state"], status(root)["exit_code"]) == ("stopped", 75)
    again = start("cnn.epochs=1000", f"cnn.team.workers={3 - workers}")
    wait_for("resuming", lambda: "training_resumed" in (root.parent / "stderr").read_text())
    again.terminate()
    assert finish(again, root, 40)[0] == 75


@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_a_trainer_whose_machine_is_taken_away_has_all_of_them_save(
    rank: int, start: Callable[..., Process], root: Path
) -> None:
    process = start("cnn.epochs=1000")
    hurt(process, root, rank, signal.SIGTERM)
    code, errors = finish(process, root, 90)
    assert code == 75, errors
    assert errors.splitlines()[-1].startswith(
        "emberline: error: training was asked to stop; epoch "
    )


# --------------------------------------------------------------------------------------------------
# settings


def test_workers_that_do_not_divide_the_streams_are_refused(pipeline: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=r"team.workers \* team.replicas = 3 \* 1 does not divide input.streams = 8; 1 and 2"
        " and 4 and 8 do",
    ):
        pipelines.load(pipeline, ["cnn.team.workers=3"])


def test_who_starts_the_trainers_is_said_by_the_config(pipeline: Path) -> None:
    local, spark = (
        stages.select(pipelines.load(pipeline, [f"cnn.team.launcher={name}"]), "train-cnn")[0]
        for name in ("local", "spark")
    )
    assert (local.engine, local.target) == ("tensorflow", "emberline.cnn.train:run")
    assert (spark.engine, spark.target) == ("spark", "emberline.spark.barrier:run")
    assert (
        local.settings(pipelines.load(pipeline)).what()
        == local.settings(pipelines.load(pipeline, ["cnn.team.workers=4"])).what()
    )
