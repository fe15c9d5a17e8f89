"""`emberline plan`: which stages would run, and why."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.text import Text

from emberline import pipelines, stages
from emberline.cli.console import make_console, make_table, tell
from emberline.cli.options import (
    Day,
    Force,
    From,
    Only,
    Pipeline,
    Root,
    Set,
    load,
    overrides_of,
)
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.logs import one_line
from emberline.runs import plan as plans
from emberline.runs.plan import Decision
from emberline.schedule import files as schedules
from emberline.schedule import job, programs
from emberline.schedule.calendar import At
from emberline.schedule.job import Job


def plan(
    pipeline: Pipeline,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    only: Only = None,
    from_: From = None,
    force: Force = False,
    style: Annotated[
        Literal["text", "json", "airflow", "cron", "systemd"],
        typer.Option(
            "--format",
            help=(
                "text or json; or, instead of a plan, a file for a scheduler: airflow, cron or"
                " systemd."
            ),
        ),
    ] = "text",
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help='For a scheduler: "HH:MM" (default 03:00), "Mon HH:MM" or ":MM" (hourly).',
        ),
    ] = None,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="For a scheduler: write its files there.")
    ] = None,
    submit: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help='For a scheduler: Spark\'s stages by "spark-submit ...", as scripts.',
        ),
    ] = None,
) -> None:
    """Say which stages would run, and why, without running them; or write what a scheduler
    needs to run them.
    """
    if style != "text" and style != "json":
        # a line that runs every stage by itself is too long for cron
        submitted = submit if style == "cron" else None
        _refuse(
            style,
            {
                "--date": day,
                "--only": only,
                "--from": from_,
                "--force": force or None,
                "--submit": submitted,
            },
        )
        _deliver(
            schedules.SCHEDULERS[style](_job(pipeline, root, set_ or [], at or "03:00", submit)), to
        )
        return
    _refuse(style, {"--at": at, "--to": to, "--submit": submit})
    config = load(pipeline, root, set_, day)
    decisions = plans.plan(
        config, storage.locate(config.root), stages.select(config, only, from_), force
    )
    show_plan(make_console(), decisions, style)


def _refuse(style: str, options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} does not go with --format {style}: leave it out")


def _job(
    pipeline: Path, root: str | None, overrides: list[str], at: str, submit: str | None
) -> Job:
    """The pipeline as a scheduler's job; its settings are checked as those of today."""
    if not pipeline.is_file():
        raise ConfigError(
            f"{pipeline} is not a file; a scheduler needs the path of a pipeline file, which stays"
            " where it is"
        )
    is_dated = pipelines.is_dated(pipeline, overrides_of(root, overrides))
    config = load(pipeline, root, overrides, datetime.now())
    return job.make(
        config, pipeline, At.parse(at), programs.find(submit), root, overrides, is_dated
    )


def _deliver(files: dict[str, str], folder: Path | None) -> None:
    """Print a scheduler's files, or write them and say where."""
    if folder is None:
        typer.echo("\n".join(files.values()), nl=False)
    else:
        for path in schedules.write(files, folder):
            tell(f"wrote {path}")


def show_plan(
    console: Console, decisions: Sequence[Decision], style: Literal["text", "json"]
) -> None:
    """What would run, and why."""
    rows = [{"stage": d.stage.name, "action": d.action, "reason": d.reason} for d in decisions]
    if style == "json":
        console.out(json.dumps(rows, indent=1), highlight=False)
        return
    table = make_table("stage", "action", "reason")
    for row in rows:
        cells = [Text(one_line(cell)) for cell in row.values()]
        table.add_row(*cells, style="dim" if row["action"] == "skip" else None)
    console.print(table)
