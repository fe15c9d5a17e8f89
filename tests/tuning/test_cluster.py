"""A study on a real cluster, a standalone one on loopback: each trial is one task, and finds what
it finds on one machine.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.tuning.conftest import write_pipeline

CONF = Path(__file__).parents[2] / "spark-conf"
PROGRAM = "from emberline.cli.main import main; main()"
pytestmark = pytest.mark.faults


def run(*command: Any, **options: Any) -> "subprocess.CompletedProcess[str]":
    words = [sys.executable, *map(str, command)]
    return subprocess.run(words, capture_output=True, text=True, timeout=1500, **options)


@pytest.fixture(scope="module")
def master(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a master with two workers of one core."""
    folder = tmp_path_factory.mktemp("cluster")
    place = ("--folder", folder, "--port", 0, "--ui-port", 0)
    started = run(CONF / "cluster.py", "start", *place)
    assert started.returncode == 0, started.stderr
    try:
        yield json.loads((folder / "cluster.json").read_text())["master"]
    finally:
        run(CONF / "cluster.py", "stop", "--folder", folder)


def tuned(pipeline: Path, study: Path, *settings: str) -> str:
    """What a study of five trials, two at a time, says."""
    words = ["-c", PROGRAM, "tune", pipeline, "--study", study, "--trials", 5]
    more = [word for setting in settings for word in ("--set", setting)]
    done = run(*words, "--parallel", 2, "--verbose", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def trials(study: Path) -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted((study / "trials").glob("*.json"))]
    return [{key: one[key] for key in ("number", "parameters", "state", "value")} for one in found]


def test_a_trial_is_a_task_where_it_fits_one_and_finds_what_it_finds_on_one_machine(
    master: str, tmp_path: Path
) -> None:
    pipeline = write_pipeline(tmp_path)
    here = tmp_path / "here"
    tuned(pipeline, here)
    there = tmp_path / "there"
    python = json.dumps(sys.executable)
    on_cluster = (f"spark.master={master}", f'spark.conf={{"spark.pyspark.python"={python}}}')
    said = tuned(pipeline, there, *on_cluster)
    assert "trials_are_tasks" in said
    expected = trials(here)
    assert [one["number"] for one in expected] == [0, 1, 2, 3, 4]
    for ours, theirs in zip(trials(there), expected, strict=True):
        assert ours["parameters"] == theirs["parameters"] and ours["state"] == theirs["state"]
        assert ours["value"] == (theirs["value"] and pytest.approx(theirs["value"], rel=1e-6))
    assert not [path for path in (there / "trials").iterdir() if path.is_dir()]
