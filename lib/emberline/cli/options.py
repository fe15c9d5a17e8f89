"""Options and arguments that several commands take, and the config that they make together."""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from emberline import logs, pipelines, stages
from emberline.sections.config import Config
from emberline.sections.stage import Stage

Own = ParamSpec("Own")

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

Only = Annotated[
    str | None, typer.Option(metavar="STAGE[,STAGE...]", help="This stage alone, or these.")
]

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

KeyFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="The key of pseudonyms; else what EMBERLINE_KEY has, where it is set."
    ),
]

RootFolder = Annotated[
    str, typer.Argument(metavar="ROOT", help="The pipeline's root, such as runs/demo.")
]


@dataclass(frozen=True)
class Choice:
    """What the commands take that are about a pipeline's stages."""

    pipeline: Pipeline
    root: Root = None
    base: Base = None
    set_: Set = None
    day: Day = None
    only: Only = None
    from_: From = None
    force: Force = False

    def load(self) -> tuple[Config, list[Stage]]:
        """The pipeline's config, and those of its stages that are meant."""
        config = load(self.pipeline, self.root, self.set_, self.day, self.base)
        return config, stages.select(config, self.only, self.from_)


@dataclass(frozen=True)
class File:
    """What the commands take that run a pipeline several times, in roots of their own."""

    pipeline: Pipeline
    set_: Set = None
    day: Day = None
    verbose: Verbose = False

    @property
    def name(self) -> str:
        return self.pipeline.name

    def content(self) -> dict[str, Any]:
        """The file's sections, with the settings that are changed; logs are told from here on."""
        logs.configure("INFO" if self.verbose else "WARNING")
        return pipelines.content_of(self.pipeline, self.set_ or (), self.day and self.day.date())


def of_stages(command: Callable[Concatenate[Choice, Own], None]) -> Callable[..., None]:
    """A command as the command line takes it: with the options of Choice, which it gets as its
    first argument, and then its own.
    """
    return _taking(Choice, command)


def of_a_file(command: Callable[Concatenate[File, Own], None]) -> Callable[..., None]:
    """The same with the options of File."""
    return _taking(File, command)


def _taking(kind: Callable[..., Any], command: Callable[..., None]) -> Callable[..., None]:
    shared = inspect.signature(kind).parameters
    own = [*inspect.signature(command).parameters.values()][1:]

    @wraps(command)
    def taken(**given: Any) -> None:
        first = kind(**{name: given.pop(name) for name in shared})
        command(first, **given)

    taken.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [each.replace(kind=each.KEYWORD_ONLY) for each in (*shared.values(), *own)]
    )
    return taken


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
