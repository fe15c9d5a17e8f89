"""`emberline run` under SIGTERM and Ctrl-C while Python's and Spark's stages run: nothing is
written, 75 says to run it again.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from emberline.launch.stop import EXIT_CODE


def start(pipeline: Path, root: Path, stage: str, *settings: str) -> "subprocess.Popen[str]":
    words = [word for setting in settings for word in ("--set", setting)]
    program = [
        sys.executable,
        "-c",
        "from emberline.cli.main import main; main()",
        "run",
        str(pipeline),
        "--root",
        str(root),
    ]
    quiet = subprocess.DEVNULL
    command = [*program, "--only", stage, *words]
    return subprocess.Popen(
        command, stdout=quiet, stderr=subprocess.PIPE, text=True, process_group=0
    )


def status(root: Path, stage: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "_status" / f"{stage}.json").read_text())
    return content


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("stage", "sign"),
    [
        ("generate-shop", "_status/generate-shop.json"),
        pytest.param("prepare-images", "_work/*/*/*", marks=pytest.mark.faults),
    ],
)
def test_a_stage_that_is_asked_to_stop_writes_nothing_and_ends_at_once(
    stage: str, sign: str, number: signal.Signals, pipeline: Path, tmp_path: Path
) -> None:
    root = tmp_path / "root"
    if stage != "generate-shop":
        assert start(pipeline, root, "generate-shop,prepare-ratings,prepare-items").wait() == 0
    before = {path.name for path in root.iterdir()} if root.exists() else set()
    process = start(
        pipeline,
        root,
        stage,
        "shop.num_events=3000000" if stage == "generate-shop" else "spark.engine=spark",
    )
    deadline = time.monotonic() + 120
    while not list(root.glob(sign)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    # a terminal tells all that it runs
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == EXIT_CODE, errors
    assert "Traceback" not in errors
    assert errors.endswith(
        f"emberline: error: {stage} was asked to stop, and wrote nothing; run it again\n"
    )
    assert (status(root, stage)["state"], status(root, stage)["exit_code"]) == (
        "stopped",
        EXIT_CODE,
    )
    assert {path.name for path in root.iterdir()} <= before | {"_lock", "_status", "_work", "shop"}
    assert not list(root.glob("_work/*/*"))
    assert stage != "generate-shop" or not list(root.glob("shop/*"))
