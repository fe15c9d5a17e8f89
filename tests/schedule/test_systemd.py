"""The units: systemd accepts them, and reads back what was meant, whatever the names hold."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.schedule import files as schedules
from emberline.schedule import systemd
from emberline.schedule.job import Job

MakeJob = Callable[..., Job]
Calls = Callable[[], list[list[str]]]
Loaded = Callable[[Job], dict[str, str]]

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="there is no systemd here"
)


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """`loaded(job)` is what systemd read from the job's two units, by its own account."""

    def verify(job: Job) -> dict[str, str]:
        command = [
            "systemd-analyze",
            "verify",
            *map(str, schedules.write(systemd.files(job), tmp_path / "units")),
        ]
        verbose = os.environ | {"SYSTEMD_LOG_LEVEL": "debug"}
        told = subprocess.run(
            command,
            env=verbose,
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        return dict(
            line.lstrip("\t").split(": ", 1) for line in told.stdout.splitlines() if ": " in line
        )

    return verify


def _call(read: dict[str, str]) -> None:
    """Do what systemd would do: in the folder that it read, the command that it read, with $$
    for $ (no variable may be left).
    """
    words = subprocess.check_output(
        ["/bin/sh", "-c", f"printf '%s\\0' {read['Command Line']}"], encoding="utf-8"
    ).split("\0")[:-1]
    words = [word.replace("$$", "\0") for word in words]
    assert not any("$" in word for word in words)
    subprocess.run(
        [word.replace("\0", "$") for word in words],
        cwd=read["WorkingDirectory"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


@needs_systemd
def test_systemd_has_nothing_against_the_units(make_job: MakeJob, tmp_path: Path) -> None:
    units = schedules.write(
        systemd.files(replace(make_job(name="a %n b"), places=())), tmp_path / "units"
    )
    checked = subprocess.run(
        ["systemd-analyze", "verify", *map(str, units)], capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@needs_systemd
def test_any_name_survives_systemd_and_the_shell(
    make_job: MakeJob, loaded: Loaded, calls: Calls, nasty: str
) -> None:
    job = make_job(
        name=nasty, folder=nasty, root=f"in {nasty}", overrides=(f"report.title=x{nasty}",)
    )
    read = loaded(job)
    assert read["WorkingDirectory"] == str(job.folder)
    _call(read)
    assert calls() == [[str(job.folder), *job.commands[0][1:]]]


@needs_systemd
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text("\\%'\"$` ;{}a", max_size=12), max_size=30))
def test_any_text_survives_systemd_and_the_shell(
    make_job: MakeJob, loaded: Loaded, calls: Calls, texts: list[str]
) -> None:
    job = make_job(overrides=tuple(f"report.title=x{text}" for text in texts))
    _call(loaded(job))
    assert calls() == [[str(job.folder), *job.commands[0][1:]]]


@needs_systemd
def test_the_timer_starts_the_service_and_makes_up_for_what_it_missed(
    make_job: MakeJob, loaded: Loaded
) -> None:
    read = loaded(make_job(at="Mon 04:05"))
    assert (read["OnCalendar"], read["Persistent"], read["Unit"]) == (
        "Mon *-*-* 04:05:00",
        "yes",
        "emberline-night.service",
    )


def test_only_1_and_75_are_worth_a_restart(make_job: MakeJob) -> None:
    service = systemd.files(make_job())["emberline-night.service"]
    prevented = next(
        line.partition("=")[2].split()
        for line in service.splitlines()
        if line.startswith("RestartPreventExitStatus=")
    )
    assert "\nRestart=on-failure\n" in service
    assert {"2", "3", "4", "126", "127"} <= set(prevented)
    assert not {"1", "75"} & set(prevented)


def test_a_private_tmp_hides_no_file_that_the_job_needs(make_job: MakeJob) -> None:
    job = replace(make_job(), places=("/data/night.toml", "/tmpfiles"))
    assert "PrivateTmp=yes" in systemd.files(job)["emberline-night.service"]
    for place in ("/tmp", "/tmp/data/ratings.csv", "/var/tmp/runs"):
        assert (
            "PrivateTmp"
            not in systemd.files(replace(job, places=(*job.places, place)))[
                "emberline-night.service"
            ]
        )


def test_retries_of_one_period_do_not_use_up_those_of_the_next(make_job: MakeJob) -> None:
    for at, interval in ((":15", "55min"), ("03:00", "20h"), ("Mon 03:00", "20h")):
        assert (
            f"StartLimitIntervalSec={interval}\n"
            in systemd.files(make_job(at=at))["emberline-night.service"]
        )
