"""One stage as a program of its own: the whole of a script in `jobs/`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from emberline import logs, stages
from emberline.cli.guard import guard
from emberline.cli.options import Base, Day, Force, Root, Set, load
from emberline.datasets import storage
from emberline.doctor import beginning
from emberline.runs import runner


def run_stage(name: str) -> None:
    """The whole of a script in `jobs/`: run one stage, under spark-submit or not, and log what
    a scheduler's operator needs.
    """

    def job(
        context: typer.Context,
        pipeline: Annotated[
            Path,
            typer.Option(
                "--config", metavar="PIPELINE.toml", readable=False, help="The pipeline file."
            ),
        ],
        root: Root = None,
        base: Base = None,
        set_: Set = None,
        day: Day = None,
        force: Force = False,
    ) -> None:
        logs.configure("INFO")
        config = load(pipeline, root, set_, day, base)
        chosen = stages.select(config, only=name)
        beginning.check(config, storage.locate(config.root), chosen, force, os.environ)
        runner.run(config, storage.locate(config.root), chosen, force=force, stop=context.obj)

    job.__doc__ = f"Run the stage {name} unless it is up to date."
    script = typer.Typer(
        pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
    )
    script.command()(job)
    guard(script, parent="PYSPARK_GATEWAY_PORT" in os.environ)  # which spark-submit sets
