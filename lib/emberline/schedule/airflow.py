"""A job as an Airflow DAG: a task per stage."""

from emberline.schedule.job import Job
from emberline.schedule.templates import render


def files(job: Job) -> dict[str, str]:
    """The DAG file's name and content: Python in plain ASCII."""
    steps = [(ascii(step.stage), _list(step.command), _list(step.after)) for step in job.steps]
    folder, schedule = ascii(str(job.folder)), ascii(job.at.cron)
    return {
        f"emberline_{job.name}.py": render(
            "dag.py.j2", job=job, steps=steps, folder=folder, schedule=schedule
        )
    }


def _list(words: tuple[str, ...]) -> str:
    return f"[{', '.join(map(ascii, words))}]"
