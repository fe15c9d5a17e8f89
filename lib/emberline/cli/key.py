"""`emberline key`: a key of pseudonyms."""

from pathlib import Path
from typing import Annotated

import typer

from emberline.cli.console import tell
from emberline.runs import keys


def key(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it: outside of every root.")
    ],
) -> None:
    """Write a new key of pseudonyms, which its owner alone may read; a file that is there stays."""
    made = keys.make(file)
    tell(
        f"{file} has a new key of fingerprint {made.fingerprint}: set privacy.key_file to it, and"
        " keep a copy where no root is; without it nobody tells whose pseudonyms these are"
    )
