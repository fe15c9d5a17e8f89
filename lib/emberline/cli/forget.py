"""`emberline forget`: people forgotten in a root, and where it was published."""

from pathlib import Path
from typing import Annotated

import typer

from emberline import logs
from emberline.cli.console import make_console, tell
from emberline.cli.options import Base, Day, RootFolder, Set, load
from emberline.cli.progress import Progress
from emberline.datasets import storage
from emberline.privacy import forgetting

Users = Annotated[
    str, typer.Option("--users", metavar="FILE", help="Who: a file with a column of their ids.")
]
Column = Annotated[str, typer.Option(metavar="NAME", help="The column of the ids in FILE.")]
PipelineFile = Annotated[
    Path,
    typer.Option(
        "--config", metavar="PIPELINE.toml", readable=False, help="What makes the root anew."
    ),
]
Releases = Annotated[
    list[str] | None,
    typer.Option("--releases", metavar="DIR", help="Where the root was published: replace it."),
]


def forget(
    root: RootFolder,
    users: Users,
    pipeline: PipelineFile,
    column: Column = "user_id",
    releases: Releases = None,
    base: Base = None,
    set_: Set = None,
    day: Day = None,
) -> None:
    """Make the root anew without these people, remove what was made of them, leave their rows out
    of every later run, and write a receipt. Killed, run it again.
    """
    logs.configure("WARNING")
    config = load(pipeline, root, set_, day, base)
    progress = Progress(make_console())
    folders = [storage.locate(folder) for folder in releases or ()]
    try:
        place = storage.locate(config.root)
        receipt, written = forgetting.forget(config, place, users, column, folders, progress)
    finally:
        progress.stop()
    for line in receipt.lines():
        tell(logs.public(line))
    tell(f"Receipt: {written}; to check it: emberline verify-receipt {written}")
    forgetting.check_clean(receipt)
