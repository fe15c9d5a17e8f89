"""`emberline run`: the stages that are not up to date."""

import os

import typer

from emberline import logs, stages
from emberline.cli.console import make_console, say
from emberline.cli.options import Base, Day, Force, From, Only, Pipeline, Root, Set, Verbose, load
from emberline.cli.outcomes import show_outcomes
from emberline.cli.progress import Progress
from emberline.datasets import storage
from emberline.doctor import beginning
from emberline.report import open as report
from emberline.runs import runner


def run(
    context: typer.Context,
    pipeline: Pipeline,
    root: Root = None,
    base: Base = None,
    set_: Set = None,
    day: Day = None,
    only: Only = None,
    from_: From = None,
    force: Force = False,
    verbose: Verbose = False,
) -> None:
    """Run the stages that are not up to date."""
    logs.configure("INFO" if verbose else "WARNING")
    config = load(pipeline, root, set_, day, base)
    chosen = stages.select(config, only, from_)
    console = make_console()
    if config.shop:
        say(
            console,
            "This pipeline's shop is generated: its items, customers and purchases are made up.",
        )
    progress = Progress(console)
    beginning.check(config, storage.locate(config.root), chosen, force, os.environ)
    try:
        outcomes = runner.run(
            config, storage.locate(config.root), chosen, progress, force, context.obj
        )
    finally:
        progress.stop()
    show_outcomes(console, outcomes)
    if any(outcome.stage.name == "report" for outcome in outcomes):
        console.print()
        say(console, f"Report: {report.find(storage.locate(config.root))}")
