"""`emberline schedule`: what cron, systemd or Airflow needs to run a pipeline."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from emberline import pipelines
from emberline.cli.console import tell
from emberline.cli.options import Base, Root, Set, load, overrides_of
from emberline.errors import ConfigError
from emberline.schedule import files, job, programs
from emberline.schedule.calendar import At
from emberline.schedule.files import Scheduler
from emberline.schedule.job import Job

Which = Annotated[Scheduler, typer.Argument(metavar="SCHEDULER", help="Who is to run it.")]
PipelineFile = Annotated[
    Path,
    typer.Argument(
        metavar="PIPELINE.toml",
        readable=False,
        help="The pipeline's file, which stays where it is.",
    ),
]
Time = Annotated[
    str,
    typer.Option("--at", metavar="TIME", help='"HH:MM", "Mon HH:MM" or ":MM" (every hour).'),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--to",
        metavar="DIR",
        readable=False,
        help="Write the files there; else they are printed.",
    ),
]
Submit = Annotated[
    str | None,
    typer.Option(
        metavar="COMMAND",
        help='Run Spark\'s stages as scripts, by "spark-submit ..."; not by cron.',
    ),
]


def schedule(
    scheduler: Which,
    pipeline: PipelineFile,
    root: Root = None,
    base: Base = None,
    set_: Set = None,
    at: Time = "03:00",
    to: Folder = None,
    submit: Submit = None,
) -> None:
    """Write what a scheduler needs to run a pipeline, day by day: a line for a crontab, systemd's
    units, or an Airflow DAG.
    """
    if scheduler == "cron" and submit is not None:
        raise ConfigError(
            "--submit does not go with cron, for which a command per stage is too long a line:"
            " leave it out, or schedule by systemd or airflow"
        )
    made = files.SCHEDULERS[scheduler](_job(pipeline, root, base, set_ or [], at, submit))
    if to is None:
        typer.echo("\n".join(made.values()), nl=False)
    else:
        for path in files.write(made, to):
            tell(f"wrote {path}")


def _job(
    pipeline: Path,
    root: str | None,
    base: str | None,
    overrides: list[str],
    at: str,
    submit: str | None,
) -> Job:
    """The pipeline as a scheduler's job; its settings are checked as those of today."""
    if not pipeline.is_file():
        raise ConfigError(
            f"{pipeline} is not a file; a scheduler needs the path of a pipeline file, which stays"
            " where it is"
        )
    is_dated = pipelines.is_dated(pipeline, overrides_of(root, overrides, base))
    config = load(pipeline, root, overrides, datetime.now(), base)
    found = programs.find(submit)
    return job.make(config, pipeline, At.parse(at), found, root, base, overrides, is_dated)
