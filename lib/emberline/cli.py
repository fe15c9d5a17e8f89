"""The `emberline` command, and the one function that every script in `jobs/` calls."""

import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

from emberline import display, logs, pipelines, stages
from emberline.datasets import disk, lookup, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.prune import prune as prune_root
from emberline.datasets.storage import Location
from emberline.doctor import beginning
from emberline.doctor.examination import examine
from emberline.doctor.pipeline import read_target
from emberline.errors import ConfigError, DataError, EmberlineError, ManifestError
from emberline.export import table as tables
from emberline.fetch import catalogue
from emberline.fetch import dataset as fetched
from emberline.init.command import init
from emberline.launch.stop import EXIT_CODE, Stop
from emberline.publish import gates, releases
from emberline.report import open as report
from emberline.runs import plan as plans
from emberline.runs import runner
from emberline.runs import status as statuses
from emberline.schedule import files as schedules
from emberline.schedule import job, programs
from emberline.schedule.calendar import At
from emberline.schedule.job import Job
from emberline.sections.config import Config
from emberline.sections.publish import PublishConfig

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which takes [publish] in a help text for a style
)

Pipeline = Annotated[
    Path,
    typer.Argument(
        metavar="PIPELINE.toml",
        help="The pipeline's file, or the name of one that comes along: demo.",
    ),
]
Root = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Where datasets go; the file's `root`, else runs/<its name>."),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the file."),
]
Only = Annotated[str | None, typer.Option(metavar="STAGE", help="This stage alone.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="STAGE", help="This stage and those after it.")
]
Day = Annotated[
    datetime | None,
    typer.Option(
        "--date",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="What {date} stands for in the pipeline file.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Run what is up to date, too.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")]
Place = Annotated[
    str,
    typer.Argument(
        metavar="DATASET|ROOT",
        help="A dataset's folder, such as runs/demo/ratings, or a whole root, such as runs/demo.",
    ),
]
RootFolder = Annotated[
    str, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emberline {metadata.version('emberline')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; an error that has a message ends in one line and its exit code."""
    _guard(app)


@app.callback()
def emberline(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and end."
        ),
    ] = False,
) -> None:
    """From a log of who liked what to recommendations, by Spark and TensorFlow."""


@app.command()
def run(
    context: typer.Context,
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
    chosen = stages.select(config, only, from_)
    console = display.make_console()
    if config.shop:
        display.say(
            console,
            "This pipeline's shop is generated: its items, customers and purchases are made up.",
        )
    progress = display.Progress(console)
    beginning.check(config, storage.locate(config.root), chosen, force, os.environ)
    try:
        outcomes = runner.run(
            config, storage.locate(config.root), chosen, progress, force, context.obj
        )
    finally:
        progress.stop()
    display.show_outcomes(console, outcomes)
    if any(outcome.stage.name == "report" for outcome in outcomes):
        console.print()
        display.say(console, f"Report: {report.find(storage.locate(config.root))}")


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
    config = _load(pipeline, root, set_, day)
    decisions = plans.plan(
        config, storage.locate(config.root), stages.select(config, only, from_), force
    )
    display.show_plan(display.make_console(), decisions, style)


@app.command()
def show(
    place: Place,
    count: Annotated[
        int, typer.Option("--rows", min=0, help="How many rows of a dataset to print.")
    ] = 5,
) -> None:
    """Print a dataset's manifest and its first rows; or what is in a whole root, and how its
    stages ended.
    """
    console = display.make_console()
    root, name = _find(place)
    if name is None:
        display.show_root(
            console,
            {each: _opened_or_why(root, each) for each in manifests.names(root)},
            statuses.all_of(root),
        )
        return
    opened = manifests.load(root, name)
    first = rows.head(opened, count) if opened.manifest.kind == "table" else None
    display.show_manifest(console, opened.manifest, first)


@app.command()
def verify(place: Place) -> None:
    """Read a dataset's parts again, or those of all datasets of a root, and compare every one
    with its manifest's hash.
    """
    root, name = _find(place)
    damaged = []
    for each in [name] if name else manifests.names(root):
        try:
            opened = manifests.load(root, each)
            manifests.verify(opened)
        except DataError as error:
            if name:
                raise
            damaged.append(each)
            _say(f"{each}: {error}")
        else:
            size = sum(part.bytes for part in opened.manifest.parts)
            _say(
                f"{each}: {len(opened.manifest.parts)} parts, {opened.rows:,} rows, {size:,} bytes,"
                " every sha256 is right"
            )
    if damaged:
        raise ManifestError(
            f"{len(damaged)} of the datasets in {root} cannot be used: {', '.join(damaged)}; see"
            " above"
        )


@app.command()
def prune(
    root: RootFolder,
    keep: Annotated[
        int, typer.Option(min=1, help="Runs to keep of each dataset, the current one included.")
    ],
    older_than: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="Spare what was changed since.")
    ] = 1.0,
) -> None:
    """Remove old runs, and what killed runs have left; never what a manifest names."""
    logs.configure("WARNING")
    removed = prune_root(storage.locate(root), keep, older_than * 3600)
    for folder in removed:
        _say(f"removed {folder}")
    _say(
        f"{len(removed)} folders removed; spared are the current runs and what changed in the last"
        f" {older_than:g} hours"
    )


@app.command()
def recommend(
    root: RootFolder,
    user: Annotated[str, typer.Option(metavar="ID", help="The user's id, as in the input.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many.")] = 10,
) -> None:
    """Print a user's recommendations, from a root or from where they were published; for one
    unknown, what is popular.
    """
    place = releases.current_root(storage.locate(root))
    best = lookup.recommendations_of(place, user, k)
    display.show_recommendations(display.make_console(), user, best, lookup.is_known(place, user))


@app.command("open")
def open_(root: RootFolder) -> None:
    """Print where a root's report is, and open it in a browser where there is a screen."""
    page = report.find(storage.locate(root))
    typer.echo(logs.one_line(page))
    report.show(page)


@app.command()
def export(
    root: RootFolder,
    table: Annotated[
        str, typer.Argument(metavar="TABLE", help="The table's name, such as recommendations.")
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="A name that ends in .csv, .jsonl or .parquet; - is standard output.",
        ),
    ],
    style: Annotated[
        Literal["csv", "jsonl", "parquet"] | None,
        typer.Option("--format", help="Else by the file's name."),
    ] = None,
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet", help="CSV: put ' before texts that a spreadsheet takes for a formula."
        ),
    ] = False,
) -> None:
    """Write a table of a root, or of a release, to one file that other programs read, with
    outside ids and titles.
    """
    count = tables.export(
        releases.current_root(storage.locate(root)), table, to, style, spreadsheet
    )
    if to != tables.STDOUT:
        typer.echo(f"{to}: {count:,} rows of {table}")


@app.command()
def publish(
    root: Annotated[
        str | None, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
    ] = None,
    to: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the serving system reads.")
    ] = None,
    gate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GATE", help="'ndcg@10 >= 0.9 * previous', 'rows.recommendations > 1000', ..."
        ),
    ] = None,
    table: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="This table; else all that are served.")
    ] = None,
    pipeline: Annotated[
        Path | None,
        typer.Option(
            "--config", metavar="PIPELINE.toml", help="Whose [publish] has what is not given here."
        ),
    ] = None,
    set_: Set = None,
    day: Day = None,
    keep: Annotated[
        int | None, typer.Option(min=1, help="Releases to keep, the new one included (3).")
    ] = None,
    new_baseline: Annotated[
        bool, typer.Option("--new-baseline", help="Compare with no previous release.")
    ] = False,
    default_gates: Annotated[
        bool | None,
        typer.Option(
            "--default-gates/--no-default-gates",
            help="Refuse a model that loses to a trivial answer (yes).",
        ),
    ] = None,
    rollback: Annotated[
        bool, typer.Option("--rollback", help="Go back to the release before the current one.")
    ] = False,
) -> None:
    """Copy the tables that a serving system reads, checked, in one step, and only if every gate
    holds.
    """
    logs.configure("WARNING")
    config = _load(pipeline, root, set_, day) if pipeline else None
    settings, source = (config.publish, config.root) if config else (PublishConfig(), root)
    if (root if rollback else source is None) or not (to or settings.to) or (set_ and not config):
        raise ConfigError(
            "give ROOT --to DIR to publish, --rollback --to DIR to go back (or --config with a"
            " publish.to; it also has a root)"
        )
    folder = storage.locate(to or str(settings.to))
    if rollback or source is None:
        release, is_new = releases.rollback(folder), True
    else:
        conditions = [gates.parse(text) for text in gate or settings.gates]
        tables, kept = table or settings.tables, keep or settings.keep
        strict = settings.default_gates if default_gates is None else default_gates
        release, is_new = releases.publish(
            storage.locate(source), folder, tables, conditions, kept, new_baseline, strict
        )
    display.show_release(display.make_console(), release, is_new)


@app.command()
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=f"One of {', '.join(catalogue.NAMES)}.")
    ],
    to: Annotated[
        str,
        typer.Option(
            metavar="DIR", help="The folder in which the dataset gets a folder of its own."
        ),
    ] = "data",
    mirror: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Download from this folder, not from the publisher."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace what is there already.")] = False,
) -> None:
    """Download a public dataset from its publisher, check it, and put it where the pipelines
    read it.
    """
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
        Path | None,
        typer.Argument(
            metavar="PIPELINE.toml",
            help="What is to run; without it, the machine alone is looked at.",
        ),
    ] = None,
    root: Root = None,
    set_: Set = None,
    day: Day = None,
    style: Annotated[
        Literal["text", "json"], typer.Option("--format", help="text or json")
    ] = "text",
) -> None:
    """Say what on this machine is in the way of a run, and what to do about it."""
    if (set_ or day) and pipeline is None:
        raise ConfigError("--set and --date are for a pipeline: name its file, too")
    with display.make_console(stderr=True).status("starting Java, Spark and TensorFlow ..."):
        checks = examine(
            read_target(pipeline, root, _overrides(root, set_), day and day.date()), os.environ
        )
    display.show_findings(display.make_console(), checks, style)
    if any(check.state == "error" for check in checks):
        raise typer.Exit(ConfigError.exit_code)


app.command()(init)


def run_stage(name: str) -> None:
    """The whole of a script in `jobs/`: run one stage, under spark-submit or not, and log what
    a scheduler's operator needs.
    """

    def job(
        context: typer.Context,
        pipeline: Annotated[
            Path, typer.Option("--config", metavar="PIPELINE.toml", help="The pipeline file.")
        ],
        root: Root = None,
        set_: Set = None,
        day: Day = None,
        force: Force = False,
    ) -> None:
        logs.configure("INFO")
        config = _load(pipeline, root, set_, day)
        chosen = stages.select(config, only=name)
        beginning.check(config, storage.locate(config.root), chosen, force, os.environ)
        runner.run(config, storage.locate(config.root), chosen, force=force, stop=context.obj)

    job.__doc__ = f"Run the stage {name} unless it is up to date."
    script = typer.Typer(
        pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
    )
    script.command()(job)
    _guard(script, parent="PYSPARK_GATEWAY_PORT" in os.environ)  # which spark-submit sets


def _say(text: str) -> None:
    display.say(display.make_console(), text)


def _guard(command: typer.Typer, parent: bool = False) -> None:
    """Run a command, with a Stop in its context; what ends it, but for bugs, is one line and an
    exit code.
    """
    _write_any_text()
    with _heeded(parent) as stop:
        try:
            command(obj=stop)
        except EmberlineError as error:
            _fail(logs.public(error), error.exit_code)
        except SystemExit as ended:
            if stop.requested and ended.code == EXIT_CODE:
                _fail("stopped; run it again", EXIT_CODE)
            raise
        except Exception as error:  # a bug: its traceback, in which libraries may quote settings
            if refused := disk.refusal(error):
                _fail(logs.public(refused), refused.exit_code)
            sys.stderr.write(logs.public(traceback.format_exc()))
            sys.exit(1)


def _write_any_text() -> None:
    """What the console's encoding does not have is written as an escape, and so are bytes of a
    command line that are no text.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def _heeded(parent: bool) -> Iterator[Stop]:
    """A Stop that has the signals while a command is at work."""
    stop = Stop()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop.listen(parent)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _fail(message: str, code: int) -> NoReturn:
    display.say(display.make_console(stderr=True), f"emberline: error: {message}")
    sys.exit(code)


def _load(
    pipeline: Path, root: str | None, overrides: list[str] | None, day: datetime | None
) -> Config:
    return pipelines.load(pipeline, _overrides(root, overrides), day and day.date())


def _overrides(root: str | None, given: list[str] | None) -> list[str]:
    return [*(given or ()), *([f"root={json.dumps(root, ensure_ascii=False)}"] if root else [])]


def _local_folder(text: str) -> Path:
    """A folder of this machine, as pipelines name their data: relative to the working folder
    where it is below.
    """
    path = storage.locate(text)
    if not isinstance(path, Path):
        raise ConfigError(
            f"{path} is not on this machine; fetch into a folder here, and copy the dataset from"
            " there"
        )
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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
    is_dated = pipelines.is_dated(pipeline, _overrides(root, overrides))
    config = _load(pipeline, root, overrides, datetime.now())
    return job.make(
        config, pipeline, At.parse(at), programs.find(submit), root, overrides, is_dated
    )


def _deliver(files: dict[str, str], folder: Path | None) -> None:
    """Print a scheduler's files, or write them and say where."""
    if folder is None:
        typer.echo("\n".join(files.values()), nl=False)
    else:
        for path in schedules.write(files, folder):
            _say(f"wrote {path}")


def _opened_or_why(root: Location, name: str) -> Dataset | EmberlineError:
    try:
        return manifests.load(root, name)
    except EmberlineError as error:
        return error


def _find(folder: str) -> tuple[Location, str | None]:
    """The root, or the current release, and the name of the dataset that a folder is, None
    where it is a root itself.
    """
    path = storage.locate(folder)
    root = releases.current_root(path.parent)
    if manifests.exists(root, path.name):
        return root, path.name
    inside = releases.current_root(path)
    if manifests.names(inside) or (inside / statuses.FOLDER).is_dir():
        return inside, None
    if not (root / path.name).is_dir():
        raise ConfigError(
            f"{path} is not a folder; give a dataset's folder or a root, such as runs/demo/ratings"
            " or runs/demo"
        )
    return root, path.name
