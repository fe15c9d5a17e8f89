"""A job as a line of a crontab."""

import shlex
from pathlib import Path

from emberline.errors import ConfigError
from emberline.schedule import shell
from emberline.schedule.job import Job
from emberline.schedule.templates import render

_LONGEST_LINE = 998  # bytes, in Debian's cron; others take more


def files(job: Job) -> dict[str, str]:
    """The crontab's name and content. Raises ConfigError where the job does not fit a line."""
    line = f"{job.at.cron} {_escaped(f'cd {shlex.quote(str(job.folder))} && {_logged(job)}')}"
    if len(line.encode()) > _LONGEST_LINE:
        size = len(line.encode())
        raise ConfigError(
            f"the crontab's line has {size} bytes, cron takes {_LONGEST_LINE}: move --set into the"
            " pipeline file"
        )
    return {f"emberline-{job.name}.crontab": render("crontab.j2", job=job, line=line)}


def _logged(job: Job) -> str:
    """The script, its output below the root with a date, or in the machine's log where the root
    is remote or another each day.
    """
    if job.is_dated or not isinstance(job.root, Path):
        return f"{{ {shell.script(job)}; }} 2>&1 | logger -t emberline-{job.name}"
    log = job.root / "_logs" / "cron.log"
    return (
        f"mkdir -p {shlex.quote(str(log.parent))} && {{ date; {shell.script(job)}; }} >>"
        f" {shlex.quote(str(log))} 2>&1"
    )


def _escaped(command: str) -> str:
    r"""What cron turns back into `command`.

    It takes an unescaped % for a line break. Some crons also read \\ as \, so that no backslash may
    meet another one or a %: those here are within single quotes, which are closed and opened again
    after each.
    """
    return command.replace("\\", "\\''").replace("%", "\\%")
