"""`emberline rollback`: the release before the current one, current again."""

from typing import Annotated

import typer

from emberline import logs
from emberline.cli.console import make_console
from emberline.cli.options import Day, PublishFile, Set, load
from emberline.cli.release import show_release
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.publish import releases

Folder = Annotated[
    str | None,
    typer.Argument(metavar="DIR", help="Where the serving system reads, as in publish --to DIR."),
]


def rollback(
    folder: Folder = None,
    pipeline: PublishFile = None,
    set_: Set = None,
    day: Day = None,
) -> None:
    """Make the release before the current one current again, if it is still there and whole."""
    logs.configure("WARNING")
    config = load(pipeline, None, set_, day) if pipeline else None
    place = folder or (config.publish.to if config else None)
    if place is None or (set_ and not config):
        raise ConfigError(
            "give DIR, where releases are published, or --config PIPELINE.toml with a publish.to"
        )
    show_release(make_console(), releases.rollback(storage.locate(place)), is_new=True)
