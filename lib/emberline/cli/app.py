"""The `emberline` command: every command by its name."""

from importlib import metadata
from typing import Annotated

import typer

from emberline.cli.doctor import doctor
from emberline.cli.export import export
from emberline.cli.fetch import fetch
from emberline.cli.init import init
from emberline.cli.open import open_
from emberline.cli.plan import plan
from emberline.cli.prune import prune
from emberline.cli.publish import publish
from emberline.cli.recommend import recommend
from emberline.cli.run import run
from emberline.cli.show import show
from emberline.cli.verify import verify

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
    fetch,
    doctor,
    init,
):
    app.command(command.__name__.rstrip("_"))(command)
