"""`emberline prune`: old runs, removed."""

from typing import Annotated

import typer

from emberline import logs
from emberline.cli.console import tell
from emberline.cli.options import RootFolder
from emberline.datasets import storage
from emberline.datasets.prune import prune as prune_root


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
        tell(f"removed {folder}")
    tell(
        f"{len(removed)} folders removed; spared are the current runs and what changed in the last"
        f" {older_than:g} hours"
    )
