"""`emberline fetch`: a public dataset, where the pipelines read it."""

from pathlib import Path
from typing import Annotated

import typer

from emberline.cli.console import make_console
from emberline.cli.download import FetchProgress
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.fetch import catalogue
from emberline.fetch import dataset as fetched


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
    progress = FetchProgress(make_console())
    try:
        folder = fetched.fetch(source, _local_folder(to), progress, mirror, force)
    finally:
        progress.stop()
    progress.say(f"Try: {source.usage.command(folder)}")


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
