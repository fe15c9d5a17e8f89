"""The `emberline` command: every command by its name."""

import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated

import typer

from emberline.cli.compare import compare
from emberline.cli.doctor import doctor
from emberline.cli.evaluate import evaluate
from emberline.cli.export import export
from emberline.cli.fetch import fetch
from emberline.cli.forget import forget
from emberline.cli.guard import guard
from emberline.cli.init import init
from emberline.cli.key import key
from emberline.cli.moved import hint
from emberline.cli.open import open_
from emberline.cli.pixels import pixels
from emberline.cli.plan import plan
from emberline.cli.prune import prune
from emberline.cli.publish import publish
from emberline.cli.recommend import recommend
from emberline.cli.rollback import rollback
from emberline.cli.run import run
from emberline.cli.schedule import schedule
from emberline.cli.serve import serve
from emberline.cli.settings import settings
from emberline.cli.show import show
from emberline.cli.tune import tune
from emberline.cli.verify import verify
from emberline.cli.verify_receipt import verify_receipt
from emberline.errors import ConfigError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # which takes [publish] in a help text for a style
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"emberline {metadata.version('emberline')}")
        raise typer.Exit


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


_COMMANDS: dict[
    Callable[..., None], str
] = {  # what each does in so few words that the list of all has them on one line
    run: "Run the stages that are not up to date.",
    plan: "Say which stages would run, and why.",
    show: "Print a dataset's facts and first rows, or a root's.",
    compare: "Compare two runs: what changed, and which is better.",
    verify: "Compare a dataset, or a root, with its hashes.",
    prune: "Remove old runs, and what killed runs have left.",
    recommend: "Print a user's recommendations.",
    pixels: "Draw which pixels of a picture matter.",
    open_: "Open a root's report in a browser.",
    export: "Write a table as one file, with ids and titles.",
    publish: "Copy what is served, if every gate holds.",
    serve: "Answer over HTTP what was published.",
    rollback: "Go back to the release before the current one.",
    schedule: "Write what cron, systemd or Airflow needs.",
    fetch: "Download a public dataset, and check it.",
    evaluate: "Measure a pipeline on folds of its data.",
    tune: "Try settings, and measure the best of them.",
    doctor: "Say what on this machine is in the way of a run.",
    init: "Write a pipeline for your own files.",
    key: "Make a key of pseudonyms.",
    forget: "Forget people: in a root, its releases, later runs.",
    verify_receipt: "Compare a receipt of forgetting with its root.",
    settings: "Print settings: type, default, range, meaning.",
}
for command, summary in _COMMANDS.items():
    name = command.__name__.rstrip("_").replace("_", "-")
    app.command(name, short_help=summary)(command)


def run_app() -> None:
    """Run the command that the arguments name."""
    try:
        guard(app)
    except SystemExit as ended:
        told = hint(sys.argv[1:]) if ended.code == ConfigError.exit_code else None
        if told:
            sys.stderr.write(f"{told}\n")
        raise
