"""The `emberline` command, and the one function that every script in `jobs/` calls."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.text import Text

from emberline import display, logs, pipelines, runner, stages
from emberline.config import Config, PublishConfig
from emberline.datasets import lookup, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.prune import prune as prune_root
from emberline.doctor.examination import examine
from emberline.doctor.pipeline import read_target
from emberline.errors import ConfigError, EmberlineError
from emberline.export import table as tables
from emberline.fetch import catalogue
from emberline.fetch import dataset as fetched
from emberline.launch.stop import Stop
from emberline.publish import gates, releases
from emberline.report import open as report
from emberline.schedule import files as schedules
from emberline.schedule import job, programs
from emberline.schedule.calendar import At
from emberline.schedule.job import Job

app = typer.Typer(
    help="From a log of who liked what to recommendations, by Spark and TensorFlow.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

Pipeline = Annotated[
    Path, typer.Argument(metavar="PIPELINE.toml", help="The pipeline's file, or the name of one that comes along: demo.")
]
Root = Annotated[str | None, typer.Option(metavar="DIR", help="Where datasets go; the file's `root`, else runs/<its name>.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the file.")]
Only = Annotated[str | None, typer.Option(metavar="STAGE", help="This stage alone.")]
From = Annotated[str | None, typer.Option("--from", metavar="STAGE", help="This stage and those after it.")]
Day = Annotated[
    datetime | None,
    typer.Option("--date", formats=["%Y-%m-%d"], metavar="YYYY-MM-DD", help="What {date} stands for in the pipeline file."),
]
Force = Annotated[bool, typer.Option("--force", help="Run what is up to date, too.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")]
DatasetFolder = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's folder, such as runs/demo/ratings.")]
RootFolder = Annotated[str, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")]


def main() -> None:
    """Run the command line; an error that has a message ends in one line and its exit code."""
    _guard(app)


@app.command()
def run(
    pipeline: Pipeline,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    only: Only = None,
    from_: From = None,
    force: Force = False,
    verbose: Verbose = False,
) -> None:
    """Run the stages that are not up to date."""
    logs.configure("INFO" if verbose else "WARNING")
    config = _load(pipeline, root, set_, day)
    console = display.make_console()
    if config.shop:
        console.print("This pipeline's shop is generated: its items, customers and purchases are made up.")
    progress = display.Progress(console)
    chosen, stop = stages.select(config, only, from_), _listen_to_sigterm()
    try:
        outcomes = runner.run(config, storage.locate(config.root), chosen, progress, force, stop)
    finally:
        progress.stop()
    display.show_outcomes(console, outcomes)
    if any(outcome.stage.name == "report" for outcome in outcomes):
        console.print(Text(f"\nReport: {logs.one_line(report.find(storage.locate(config.root)))}"), soft_wrap=True)


@app.command()
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
        typer.Option("--format", help="text or json; or, instead of a plan, a file for a scheduler: airflow, cron or systemd."),
    ] = "text",
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help='For a scheduler: "HH:MM" (default 03:00), "Mon HH:MM" or ":MM" (hourly).')
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="For a scheduler: write its files there.")] = None,
    submit: Annotated[
        str | None, typer.Option(metavar="COMMAND", help='For a scheduler: Spark\'s stages by "spark-submit ...", as scripts.')
    ] = None,
) -> None:
    """Say which stages would run, and why, without running them; or write what a scheduler needs to run them."""
    if style != "text" and style != "json":
        submitted = submit if style == "cron" else None  # a line that runs every stage by itself is too long for cron
        _refuse(style, {"--date": day, "--only": only, "--from": from_, "--force": force or None, "--submit": submitted})
        _deliver(schedules.SCHEDULERS[style](_job(pipeline, root, set_ or [], at or "03:00", submit)), to)
        return
    _refuse(style, {"--at": at, "--to": to, "--submit": submit})
    config = _load(pipeline, root, set_, day)
    decisions = runner.plan(config, storage.locate(config.root), stages.select(config, only, from_), force)
    display.show_plan(display.make_console(), decisions, style)


@app.command()
def show(
    dataset: DatasetFolder, count: Annotated[int, typer.Option("--rows", min=0, help="How many rows to print.")] = 5
) -> None:
    """Print a dataset's manifest and its first rows."""
    opened = _open(dataset)
    first = rows.head(opened, count) if opened.manifest.kind == "table" else None
    display.show_manifest(display.make_console(), opened.manifest, first)


@app.command()
def verify(dataset: DatasetFolder) -> None:
    """Read a dataset's parts again and compare every one with its manifest's hash."""
    opened = _open(dataset)
    manifests.verify(opened)
    size = sum(part.bytes for part in opened.manifest.parts)
    typer.echo(f"{opened.name}: {len(opened.manifest.parts)} parts, {opened.rows:,} rows, {size:,} bytes, every sha256 is right")


@app.command()
def prune(
    root: RootFolder,
    keep: Annotated[int, typer.Option(min=1, help="Runs to keep of each dataset, the current one included.")],
    older_than: Annotated[float, typer.Option(min=0, metavar="HOURS", help="Spare what was changed since.")] = 1.0,
) -> None:
    """Remove old runs, and what killed runs have left; never what a manifest names."""
    logs.configure("WARNING")
    removed = prune_root(storage.locate(root), keep, older_than * 3600)
    for folder in removed:
        typer.echo(f"removed {folder}")
    typer.echo(f"{len(removed)} folders removed; spared are the current runs and what changed in the last {older_than:g} hours")


@app.command()
def recommend(
    root: RootFolder,
    user: Annotated[str, typer.Option(metavar="ID", help="The user's id, as in the input.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
) -> None:
    """Print a user's recommendations, from a pipeline's root or from where they were published."""
    best = lookup.recommendations_of(releases.current_root(storage.locate(root)), user, k)
    display.show_recommendations(display.make_console(), user, best)


@app.command("open")
def open_(root: RootFolder) -> None:
    """Print where a root's report is, and open it in a browser where there is a screen."""
    page = report.find(storage.locate(root))
    typer.echo(logs.one_line(page))
    report.show(page)


@app.command()
def export(
    root: RootFolder,
    table: Annotated[str, typer.Argument(metavar="TABLE", help="The table's name, such as recommendations.")],
    to: Annotated[str, typer.Option(metavar="FILE", help="A name that ends in .csv, .jsonl or .parquet; - is standard output.")],
    style: Annotated[Literal["csv", "jsonl", "parquet"] | None, typer.Option("--format", help="Else by the file's name.")] = None,
    spreadsheet: Annotated[
        bool, typer.Option("--spreadsheet", help="CSV: put ' before texts that a spreadsheet takes for a formula.")
    ] = False,
) -> None:
    """Write a table of a root, or of a release, to one file that other programs read, with outside ids and titles."""
    count = tables.export(releases.current_root(storage.locate(root)), table, to, style, spreadsheet)
    if to != tables.STDOUT:
        typer.echo(f"{to}: {count:,} rows of {table}")


@app.command()
def publish(
    root: Annotated[str | None, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")] = None,
    to: Annotated[str | None, typer.Option(metavar="DIR", help="Where the serving system reads.")] = None,
    gate: Annotated[
        list[str] | None, typer.Option(metavar="GATE", help="'ndcg@10 >= 0.9 * previous', 'rows.recommendations > 1000', ...")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(metavar="NAME", help="This table; else all that are served.")] = None,
    pipeline: Annotated[
        Path | None, typer.Option("--config", metavar="PIPELINE.toml", help="Whose [publish] has what is not given here.")
    ] = None,
    set_: Set = None,
    day: Day = None,
    keep: Annotated[int | None, typer.Option(min=1, help="Releases to keep, the new one included (3).")] = None,
    new_baseline: Annotated[bool, typer.Option("--new-baseline", help="Compare with no previous release.")] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Go back to the release before the current one.")] = False,
) -> None:
    """Copy the tables that a serving system reads, checked, in one step, and only if every gate holds."""
    logs.configure("WARNING")
    config = _load(pipeline, root, set_, day) if pipeline else None
    settings, source = (config.publish, config.root) if config else (PublishConfig(), root)
    if (root if rollback else source is None) or not (to or settings.to) or (set_ and not config):
        raise ConfigError(
            "give ROOT --to DIR to publish, --rollback --to DIR to go back (or --config with a publish.to; it also has a root)"
        )
    folder = storage.locate(to or str(settings.to))
    if rollback or source is None:
        release, is_new = releases.rollback(folder), True
    else:
        conditions = [gates.parse(text) for text in gate or settings.gates]
        tables, kept = table or settings.tables, keep or settings.keep
        release, is_new = releases.publish(storage.locate(source), folder, tables, conditions, kept, new_baseline)
    display.show_release(display.make_console(), release, is_new)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"One of {', '.join(catalogue.NAMES)}.")],
    to: Annotated[str, typer.Option(metavar="DIR", help="The folder in which the dataset gets a folder of its own.")] = "data",
    mirror: Annotated[str | None, typer.Option(metavar="URL", help="Download from this folder, not from the publisher.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> None:
    """Download a public dataset from its publisher, check it, and put it where the pipelines read it."""
    source = catalogue.find(name)
    progress = display.FetchProgress(display.make_console())
    try:
        folder = fetched.fetch(source, _local_folder(to), progress, mirror, force)
    finally:
        progress.stop()
    progress.say(f"Try: {source.usage.command(folder)}")


@app.command()
def doctor(
    pipeline: Annotated[
        Path | None, typer.Argument(metavar="PIPELINE.toml", help="What is to run; without it, the machine alone is looked at.")
    ] = None,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    style: Annotated[Literal["text", "json"], typer.Option("--format", help="text or json")] = "text",
) -> None:
    """Say what on this machine is in the way of a run, and what to do about it."""
    if (set_ or day) and pipeline is None:
        raise ConfigError("--set and --date are for a pipeline: name its file, too")
    with display.make_console(stderr=True).status("starting Java, Spark and TensorFlow ..."):
        checks = examine(read_target(pipeline, root, _overrides(root, set_), day and day.date()), os.environ)
    display.show_findings(display.make_console(), checks, style)
    if any(check.state == "error" for check in checks):
        raise typer.Exit(ConfigError.exit_code)


def run_stage(name: str) -> None:
    """The whole of a script in `jobs/`: run one stage, under spark-submit or not, and log what a scheduler's operator needs."""

    def job(
        pipeline: Annotated[Path, typer.Option("--config", metavar="PIPELINE.toml", help="The pipeline file.")],
        root: Root = None,
        set_: Set = None,
        day: Day = None,
        force: Force = False,
    ) -> None:
        logs.configure("INFO")
        config = _load(pipeline, root, set_, day)
        stop = _listen_to_sigterm(parent="PYSPARK_GATEWAY_PORT" in os.environ)  # which spark-submit sets
        chosen = stages.select(config, only=name)
        runner.run(config, storage.locate(config.root), chosen, force=force, stop=stop)

    job.__doc__ = f"Run the stage {name} unless it is up to date."
    script = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    script.command()(job)
    _guard(script)


def _listen_to_sigterm(parent: bool = False) -> Stop:
    stop = Stop()
    stop.listen(parent)
    return stop


def _guard(command: Callable[[], Any]) -> None:
    try:
        command()
    except EmberlineError as error:
        typer.echo(f"emberline: error: {logs.one_line(logs.public(error))}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # a bug: its traceback, in which libraries may quote settings
        sys.stderr.write(logs.public(traceback.format_exc()))
        sys.exit(1)


def _load(pipeline: Path, root: str | None, overrides: list[str] | None, day: datetime | None) -> Config:
    return pipelines.load(pipeline, _overrides(root, overrides), day and day.date())


def _overrides(root: str | None, given: list[str] | None) -> list[str]:
    return [*(given or ()), *([f"root={json.dumps(root, ensure_ascii=False)}"] if root else [])]


def _local_folder(text: str) -> Path:
    """A folder of this machine, as pipelines name their data: relative to the working folder where it is below."""
    path = storage.locate(text)
    if not isinstance(path, Path):
        raise ConfigError(f"{path} is not on this machine; fetch into a folder here, and copy the dataset from there")
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _refuse(style: str, options: dict[str, Any]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} does not go with --format {style}: leave it out")


def _job(pipeline: Path, root: str | None, overrides: list[str], at: str, submit: str | None) -> Job:
    """The pipeline as a scheduler's job; its settings are checked as those of today."""
    if not pipeline.is_file():
        raise ConfigError(f"{pipeline} is not a file; a scheduler needs the path of a pipeline file, which stays where it is")
    is_dated = pipelines.is_dated(pipeline, _overrides(root, overrides))
    config = _load(pipeline, root, overrides, datetime.now())
    return job.make(config, pipeline, At.parse(at), programs.find(submit), root, overrides, is_dated)


def _deliver(files: dict[str, str], folder: Path | None) -> None:
    """Print a scheduler's files, or write them and say where."""
    if folder is None:
        typer.echo("\n".join(files.values()), nl=False)
    else:
        for path in schedules.write(files, folder):
            typer.echo(f"wrote {path}")


def _open(folder: str) -> Dataset:
    path = storage.locate(folder)
    root = releases.current_root(path.parent)
    if not (root / path.name).is_dir():
        raise ConfigError(f"{path} is not a folder; give a dataset's folder, such as runs/demo/ratings")
    return manifests.load(root, path.name)
