"""The crontab: a line that cron and its shell read back as it was meant, whatever the names
hold.
"""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emberline.errors import ConfigError
from emberline.schedule import cron
from emberline.schedule.job import Job

MakeJob = Callable[..., Job]
Calls = Callable[[], list[list[str]]]


def _line(job: Job) -> str:
    """The crontab's one line that is no comment."""
    (content,) = cron.files(job).values()
    (line,) = [line for line in content.split("\n") if line and not line.startswith("#")]
    return line


def _command(line: str, unescapes_backslashes: bool) -> str:
    """What cron gives to the shell: a % ends the command unless a backslash is before it; for
    some, two of those are one.
    """
    command, rest = "", iter(line.split(maxsplit=5)[5])
    for character in rest:
        assert character != "%", "cron would cut the command here"
        following = next(rest, "") if character == "\\" else ""
        if following == "%" or (following == "\\" and unescapes_backslashes):
            command += following
        else:
            command += character + following
    return command


def _assert_is_called(job: Job, calls: Calls) -> None:
    for unescapes_backslashes in (False, True):
        subprocess.run(
            ["/bin/sh", "-c", _command(_line(job), unescapes_backslashes)], check=True, cwd="/"
        )
        assert calls() == [[str(job.folder), *job.commands[0][1:]]]
        assert (job.root / "_logs" / "cron.log").read_text().splitlines()[1:] == ["done"]
        (job.root / "_logs" / "cron.log").unlink()


def test_any_name_survives_cron_and_the_shell(make_job: MakeJob, calls: Calls, nasty: str) -> None:
    job = make_job(
        name=nasty, folder=nasty, root=f"in {nasty}", overrides=(f"report.title=x{nasty}",)
    )
    _assert_is_called(job, calls)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(texts=st.lists(st.text("\\%'\"$` a", max_size=12), max_size=5))
def test_any_text_survives_cron_and_the_shell(
    make_job: MakeJob, calls: Calls, texts: list[str]
) -> None:
    _assert_is_called(make_job(overrides=tuple(f"report.title=x{text}" for text in texts)), calls)


def test_publishing_follows_where_the_run_went_well(
    make_job: MakeJob, program: Path, calls: Calls
) -> None:
    publishing = make_job(root="there", sections='[publish]\nto = "served"\n')
    command = _command(_line(publishing), False)
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert [call[1] for call in calls()] == ["run", "publish"]
    assert (publishing.root / "_logs" / "cron.log").read_text().splitlines()[1:] == ["done", "done"]
    program.write_text("#!/bin/sh\nexit 3\n")
    assert subprocess.run(["/bin/sh", "-c", command]).returncode == 3


def test_without_a_folder_of_its_own_the_output_goes_to_the_machines_log(
    make_job: MakeJob, tmp_path: Path, calls: Calls
) -> None:
    logger = tmp_path / "logger"
    logger.write_text(f"#!/bin/sh\n{{ echo \"$@\"; cat; }} > '{tmp_path}/logged'\n")
    logger.chmod(0o755)
    job = replace(make_job(), is_dated=True)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(
        ["/bin/sh", "-c", _command(_line(job), False)], check=True, cwd="/", env=environment
    )
    assert (tmp_path / "logged").read_text() == "-t emberline-night\ndone\n"
    assert calls() == [[str(job.folder), *job.commands[0][1:], "--date", f"{date.today()}"]]


def test_the_line_begins_with_the_time(make_job: MakeJob) -> None:
    assert _line(make_job(at="Mon 04:05")).startswith("5 4 * * 1 cd /")


def test_a_line_that_cron_would_cut_is_refused(make_job: MakeJob) -> None:
    with pytest.raises(
        ConfigError, match="bytes, cron takes 998: move --set into the pipeline file"
    ):
        cron.files(make_job(overrides=(f"report.title={'ü' * 400}",)))
