"""Runs killed with SIGKILL, Python, JVM and workers together: nothing half is left, and the
next run completes the rest.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline import stages
from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.sections.config import Config
from emberline.sections.stage import Stage

NUM_RANDOM_KILLS = 8
# What shows that a stage is at work, where its outputs are written in an instant at its end.
SIGNS = {
    "evaluate": "_status/evaluate.json",
    "train-cnn": "_work/train-cnn/*/checkpoints/*",
    "report": "_status/report.json",
}
Process = subprocess.Popen[bytes]
AssertEqualResults = Callable[..., None]


def start(pipeline: Path, root: Path, *more: str) -> Process:
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "run",
        str(pipeline),
        "--root",
        str(root),
        *more,
    ]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(program, stdout=quiet, stderr=quiet, start_new_session=True)


def kill_when(condition: Callable[[], bool], process: Process, seconds: float) -> bool:
    """Kill the process and its children as soon as the condition holds; False where it ended
    before.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            return False
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def complete(pipeline: Path, root: Path, *more: str) -> None:
    assert start(pipeline, root, *more).wait(timeout=900) == 0


def assert_whole(root: Path) -> None:
    """Every dataset that is there is there with all its parts, and no two stages' outputs are
    mixed up.
    """
    datasets = [manifests.load(root, path.parent.name) for path in root.glob("*/manifest.json")]
    for dataset in datasets:
        damage.verify(dataset)


def has_begun_to_write(stage: Stage, config: Config, root: Path) -> Callable[[], bool]:
    """Whether parts of the stage's outputs are there, or another sign of it."""
    patterns = (
        [SIGNS[stage.name]]
        if stage.name in SIGNS
        else [f"{name}/*/*" for name in stage.writes(config)]
    )
    return lambda: any(next(root.glob(pattern), None) for pattern in patterns)


@pytest.mark.faults
def test_a_stage_killed_while_it_writes_is_completed_when_it_runs_again(
    config: Config, pipeline: Path, tmp_path: Path, assert_equal_results: AssertEqualResults
) -> None:
    undisturbed, root = tmp_path / "undisturbed", tmp_path / "root"
    complete(pipeline, undisturbed, "--only", "generate-shop")
    shutil.copytree(undisturbed, root)
    (stage,) = stages.select(config, only="prepare-ratings")
    process = start(pipeline, root, "--only", stage.name)
    assert kill_when(has_begun_to_write(stage, config, root), process, 120), (
        "it ended before it was killed"
    )
    assert_whole(root)
    for place in (root, undisturbed):
        complete(pipeline, place, "--only", stage.name)
    assert_whole(root)
    assert_equal_results(root, undisturbed, stage.writes(config))


@pytest.mark.faults
def test_a_run_killed_in_every_stage_is_completed_by_the_next(
    config: Config,
    pipeline: Path,
    finished: Path,
    tmp_path: Path,
    assert_equal_results: AssertEqualResults,
) -> None:
    root = tmp_path / "root"
    for stage in stages.in_pipeline(config):
        process = start(pipeline, root)
        assert kill_when(has_begun_to_write(stage, config, root), process, 120), (
            f"{stage.name} ended before it was killed"
        )
        assert_whole(root)
    complete(pipeline, root)
    assert_whole(root)
    assert_equal_results(root, finished)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(NUM_RANDOM_KILLS))
def test_a_run_killed_at_a_random_point_is_completed_with_equal_results(
    number: int,
    pipeline: Path,
    finished: Path,
    tmp_path: Path,
    typical_seconds: float,
    assert_equal_results: AssertEqualResults,
) -> None:
    root = tmp_path / "root"
    moment = time.monotonic() + random.Random(number).uniform(0.5, typical_seconds)
    kill_when(lambda: time.monotonic() > moment, start(pipeline, root), 300)
    assert_whole(root)
    complete(pipeline, root)
    assert_whole(root)
    assert_equal_results(root, finished)


@pytest.fixture(scope="module")
def typical_seconds(pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed run of the pipeline takes here."""
    began = time.monotonic()
    complete(pipeline, tmp_path_factory.mktemp("undisturbed"))
    return time.monotonic() - began
