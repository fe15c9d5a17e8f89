"""A stage on this machine's cores, as a process."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
[ratings]
path = "unread.csv"
value = "one"
columns = { user_id = "user", item_id = "item" }
[als]
rank = 8
iterations = 1000000
checkpoint_every = 1
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fit_that_is_to_end_ends_at_once_and_can_go_on(
    number: signal.Signals, publish: Any, root: Path, tmp_path: Path
) -> None:
    rows = [{"user": n % 50, "item": n // 50, "value": 1.0} for n in range(1000) if n % 3]
    publish(root, "split-ratings", "ratings", rows)
    (tmp_path / "pipeline.toml").write_text(PIPELINE)
    program = [str(Path(sys.executable).with_name("emberline")), "run", "pipeline.toml"]
    process = subprocess.Popen(
        [*program, "--root", str(root), "--only", "train-als"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    until = time.monotonic() + 60
    while not (states := list(root.glob("_work/train-als/*/als/state.json"))):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 75
    said = "train-als was asked to stop, and wrote nothing; run it again"
    assert errors.splitlines()[-1] == f"emberline: error: {said}"
    assert "Traceback" not in errors
    assert json.loads((root / "_status" / "train-als.json").read_text())["state"] == "stopped"
    assert json.loads(states[0].read_text())["history"]
