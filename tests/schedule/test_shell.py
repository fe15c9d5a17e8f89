"""A job on a shell's command line: one command after the other, on one day, until one fails."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from emberline.schedule import shell
from emberline.schedule.job import Job

MakeJob = Callable[..., Job]
Calls = Callable[[], list[list[str]]]


def _run(job: Job, folder: Path, **environment: str) -> int:
    return subprocess.run(
        ["/bin/sh", "-c", shell.script(job)], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    ).returncode


def test_commands_run_in_turn_until_one_fails(
    make_job: MakeJob, program: Path, tmp_path: Path, calls: Calls
) -> None:
    failing = ("/bin/sh", "-c", "exit 75")
    job = replace(make_job(), commands=((str(program), "a"), (str(program), "b c")))
    assert _run(job, tmp_path) == 0
    assert calls() == [[str(tmp_path), "a"], [str(tmp_path), "b c"]]
    assert _run(replace(job, commands=(job.commands[0], failing, job.commands[1])), tmp_path) == 75
    assert calls() == [[str(tmp_path), "a"]]
    assert _run(replace(job, commands=(job.commands[0], failing)), tmp_path) == 75


def test_all_commands_get_the_day_on_which_the_first_began(
    make_job: MakeJob, program: Path, tmp_path: Path, calls: Calls
) -> None:
    clock = tmp_path / "date"
    clock.write_text(f"#!/bin/sh\n[ \"$*\" = +%F ] && echo 2026-01-0$(cat '{tmp_path}/day')\n")
    clock.chmod(0o755)
    (tmp_path / "day").write_text("1")
    midnight = ("/bin/sh", "-c", f"echo 2 > '{tmp_path}/day'")
    job = replace(
        make_job(), commands=((str(program), "a"), midnight, (str(program), "b")), is_dated=True
    )
    assert _run(job, tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin") == 0
    assert [call[1:] for call in calls()] == [
        ["a", "--date", "2026-01-01"],
        ["b", "--date", "2026-01-01"],
    ]
