"""A job as a systemd service and the timer that starts it."""

from pathlib import Path

from emberline.schedule import shell
from emberline.schedule.job import Job
from emberline.schedule.templates import render

_TEMPORARY = ("/tmp", "/var/tmp")


def files(job: Job) -> dict[str, str]:
    """The two units' names and contents."""
    service = render(
        "unit.service.j2",
        job=job,
        # a slash at the end keeps a blank or a backslash before it
        folder=f"{job.folder}/".replace("%", "%%"),
        script=_quoted(shell.script(job)),
        # Retries count as starts, and so does the timer's: all of one period's, and none of the
        # next one's.
        period="55min" if job.at.hour is None else "20h",
        has_private_tmp=not any(_is_temporary(place) for place in job.places),
    )
    return {
        f"emberline-{job.name}.service": service,
        f"emberline-{job.name}.timer": render("unit.timer.j2", job=job),
    }


def _quoted(script: str) -> str:
    """One word of ExecStart: quotes and backslashes are escaped as in C, % begins a specifier
    and $ a variable.
    """
    marks = {"\\": "\\\\", '"': '\\"', "%": "%%", "$": "$$"}
    return f'"{"".join(marks.get(character, character) for character in script)}"'


def _is_temporary(place: str) -> bool:
    return any(Path(place).is_relative_to(folder) for folder in _TEMPORARY)
