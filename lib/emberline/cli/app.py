"""The `emberline` command: every command by its name."""

import sys
from importlib import metadata
from typing import Annotated

import typer

from emberline.cli.doctor import doctor
from emberline.cli.export import export
from emberline.cli.fetch import fetch
from emberline.cli.guard import guard
from emberline.cli.init import init
from emberline.cli.moved import hint
from emberline.cli.open import open_
from emberline.cli.plan import plan
from emberline.cli.prune import prune
from emberline.cli.publish import publish
from emberline.cli.recommend import recommend
from emberline.cli.rollback import rollback
from emberline.cli.run import run
from emberline.cli.schedule import schedule
from emberline.cli.settings import settings
from emberline.cli.show import show
from emberline.cli.verify import verify
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


for command in (
    run,
    plan,
    show,
    verify,
    prune,
    recommend,
    open_,
    export,
    publish,
    rollback,
    schedule,
    fetch,
    doctor,
    init,
    settings,
):
    app.command(command.__name__.rstrip("_"))(command)


def run_app() -> None:
    """Run the command that the arguments name."""
    try:
        guard(app)
    except SystemExit as ended:
        told = hint(sys.argv[1:]) if ended.code == ConfigError.exit_code else None
        if told:
            sys.stderr.write(f"{told}\n")
        raise
