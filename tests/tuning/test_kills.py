"""A study that is killed again and again, anywhere, ends as one that nobody has touched."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.tuning.conftest import write_pipeline

PROGRAM = [sys.executable, "-c", "from emberline.cli.main import main; main()"]
KILLS, TRIALS = 10, 24


def _start(pipeline: Path, study: Path) -> "subprocess.Popen[str]":
    arguments = ["tune", pipeline, "--study", study, "--trials", TRIALS, "--parallel", 2]
    return subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        cwd=study.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[str]") -> None:
    _, told = process.communicate(timeout=600)
    assert process.returncode == 0, told


def _ended(study: Path) -> int:
    """How many trials have their file."""
    return len(list((study / "trials").glob("*.json")))


def _found(study: Path) -> list[dict]:
    """Trials and outcome, but for how long they took."""
    files = [*sorted((study / "trials").glob("*.json")), study / "outcome.json"]
    found = [json.loads(file.read_text()) for file in files]
    return [{key: value for key, value in each.items() if key != "seconds"} for each in found]


def _kill_later(process: "subprocess.Popen[str]", study: Path, draw: random.Random) -> bool:
    """Kill within a random time of work on trials; whether it was still there."""
    began = time.time()
    while process.poll() is None and not _is_at_work(study, began):
        time.sleep(0.01)
    try:
        process.wait(timeout=draw.uniform(0, 1.0))
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return True


def _is_at_work(study: Path, began: float) -> bool:
    """Whether the process has come to its trials: something there is new."""
    for path in (study / "trials", *(study / "trials").glob("*")):
        with suppress(FileNotFoundError):  # gone since it was listed
            if path.stat().st_mtime > began:
                return True
    return False


@pytest.mark.faults
def test_ten_random_kills_change_neither_trials_nor_winner(tmp_path: Path) -> None:
    pipeline, draw = write_pipeline(tmp_path), random.Random(3)
    _end(_start(pipeline, tmp_path / "unbroken"))
    kills = 0
    while kills < KILLS and _ended(tmp_path / "killed") < TRIALS:
        kills += _kill_later(_start(pipeline, tmp_path / "killed"), tmp_path / "killed", draw)
    assert kills == KILLS
    _end(_start(pipeline, tmp_path / "killed"))
    assert _found(tmp_path / "killed") == _found(tmp_path / "unbroken")
    winners = [(tmp_path / name / "winner.toml").read_text() for name in ("killed", "unbroken")]
    assert winners[0] == winners[1]
