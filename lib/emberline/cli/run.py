"""`emberline run`: the stages that are not up to date."""

import os

import typer

from emberline import logs
from emberline.cli.console import make_console, say
from emberline.cli.noted import noted
from emberline.cli.options import Choice, Verbose, of_stages
from emberline.cli.outcomes import show_outcomes
from emberline.cli.progress import Progress
from emberline.datasets import storage
from emberline.doctor import beginning
from emberline.report import open as report
from emberline.runs import runner
from emberline.tracking.stages import Noting


@of_stages
def run(choice: Choice, context: typer.Context, verbose: Verbose = False) -> None:
    """Run the stages that are not up to date."""
    logs.configure("INFO" if verbose else "WARNING")
    config, chosen = choice.load()
    root = storage.locate(config.root)
    console = make_console()
    if config.shop:
        say(
            console,
            "This pipeline's shop is generated: its items, customers and purchases are made up.",
        )
    progress = Progress(console)
    beginning.check(config, root, chosen, choice.force, os.environ)
    with noted(config, root.name, console) as notes:
        listener = Noting(notes, config, root, progress)
        try:
            outcomes = runner.run(config, root, chosen, listener, choice.force, context.obj)
        finally:
            progress.stop()
    show_outcomes(console, outcomes)
    if any(outcome.stage.name == "report" for outcome in outcomes):
        console.print()
        say(console, f"Report: {report.find(root)}")
