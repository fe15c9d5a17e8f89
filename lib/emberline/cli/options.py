"""Options and arguments that several commands take, and the config that they make together."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from emberline import pipelines
from emberline.sections.config import Config

Pipeline = Annotated[
    Path,
    typer.Argument(
        metavar="PIPELINE.toml",
        readable=False,  # asked when it is opened, as of all files
        help="The pipeline's file, or the name of one that comes along: demo.",
    ),
]

Root = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="Where datasets go; the file's `root`, else runs/<its name>."),
]

Base = Annotated[
    str | None,
    typer.Option(
        metavar="DIR",
        help="Another root, only read: what this root lacks is there; the file's `base`.",
    ),
]

Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change a setting of the file."),
]

Only = Annotated[str | None, typer.Option(metavar="STAGE", help="This stage alone.")]

From = Annotated[
    str | None, typer.Option("--from", metavar="STAGE", help="This stage and those after it.")
]

Day = Annotated[
    datetime | None,
    typer.Option(
        "--date",
        formats=["%Y-%m-%d"],
        metavar="YYYY-MM-DD",
        help="What {date} stands for in the pipeline file.",
    ),
]

Force = Annotated[bool, typer.Option("--force", help="Run what is up to date, too.")]

Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log every step to standard error.")]

Place = Annotated[
    str,
    typer.Argument(
        metavar="DATASET|ROOT",
        help="A dataset's folder, such as runs/demo/ratings, or a whole root, such as runs/demo.",
    ),
]

PublishFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PIPELINE.toml",
        readable=False,
        help="Whose [publish] has what is not given here.",
    ),
]
RootOrRelease = Annotated[
    str,
    typer.Argument(
        metavar="ROOT", help="A pipeline's root, such as runs/demo, or where it was published."
    ),
]

RootFolder = Annotated[
    str, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
]


def load(
    pipeline: Path,
    root: str | None,
    overrides: list[str] | None,
    day: datetime | None,
    base: str | None = None,
) -> Config:
    return pipelines.load(pipeline, overrides_of(root, overrides, base), day and day.date())


def overrides_of(root: str | None, given: list[str] | None, base: str | None = None) -> list[str]:
    places = {"root": root, "base": base}
    return [
        *(given or ()),
        *(
            f"{key}={json.dumps(place, ensure_ascii=False)}"
            for key, place in places.items()
            if place
        ),
    ]
