"""`emberline pixels`: which pixels of an item's picture the network goes by."""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Literal

import typer

from emberline import logs, trainers
from emberline.cli.options import RootFolder
from emberline.datasets import storage
from emberline.errors import ConfigError
from emberline.extras import TRAIN
from emberline.images.overlay import side_by_side
from emberline.launch.child import NOISE
from emberline.launch.sieve import sifted


def pixels(
    root: RootFolder,
    item: Annotated[str, typer.Option(metavar="ID", help="The item's id, as in the input.")],
    to: Annotated[Path, typer.Option(metavar="FILE.png", help="The picture that is written.")],
    user: Annotated[
        str | None,
        typer.Option(
            metavar="ID",
            help="Whose score is explained, where the network predicts factors; else it is the"
            " class that it says.",
        ),
    ] = None,
    by: Annotated[
        Literal["gradients", "cam"],
        typer.Option(
            help="Integrated gradients, which say of every pixel what it adds, or Grad-CAM, which"
            " says in which part of the picture the reason is."
        ),
    ] = "gradients",
) -> None:
    """Draw an item's picture and, right of it, in red which pixels speak for the network's class
    of it, or for a user's score, and in blue which against.
    """
    if not TRAIN.is_here():
        raise ConfigError(f"{TRAIN.brings} is not installed: {TRAIN.remedy}")
    if to.is_dir():
        raise ConfigError(f"--to {to} is a folder; give the name of a file")
    os.environ.setdefault(*trainers.LOG_LEVEL)  # before TensorFlow is imported
    with sifted(NOISE):
        look = import_module("emberline.cnn.looking").look
        looked = look(storage.locate(root), item, user, by)
    storage.replace_file(to, side_by_side(looked.pixels, looked.heat))
    typer.echo(logs.one_line(f"{to}: {looked.said}"))
