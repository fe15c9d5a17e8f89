"""What a scheduler is to run: a command per stage, or as few commands as can run the whole
pipeline.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from emberline import stages
from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.logs import is_secret, may_be_secret, public
from emberline.schedule.calendar import At
from emberline.schedule.commands import Commands
from emberline.schedule.programs import Command, Programs
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage

_STRANGE = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True)
class Step:
    """The command of a stage, or of publishing, and the stages that have to come before it."""

    stage: str
    command: Command
    after: tuple[str, ...]


@dataclass(frozen=True)
class Job:
    """A pipeline, ready for a scheduler. All paths are absolute; what the pipeline's own paths are
    relative to is `folder`.

    `steps` are its stages one by one, `commands` the whole pipeline, one command after the other;
    where it `is_dated`, a scheduler appends `--date` and the day to each. `places` are the files
    and folders that it needs, among other words.
    """

    name: str
    at: At
    folder: Path
    root: Location
    steps: tuple[Step, ...]
    commands: tuple[Command, ...]
    places: tuple[str, ...]
    is_dated: bool


def make(
    config: Config,
    pipeline: Path,
    at: At,
    programs: Programs,
    root: str | None = None,
    base: str | None = None,
    overrides: Sequence[str] = (),
    is_dated: bool = False,
) -> Job:
    """The pipeline as a job that runs in the folder in which we are.

    Raises ConfigError for a name that no scheduler's file can hold, for a secret, and for a script
    of `jobs/` that is not there.
    """
    chosen, folder = stages.select(config), Path.cwd()
    at_root, at_base = (place and str(storage.locate(place)) for place in (root, base))
    commands = Commands(programs, folder, str(pipeline.absolute()), at_root, at_base, overrides)
    steps = [
        Step(stage.name, commands.stage(stage), _before(config, chosen, stage)) for stage in chosen
    ]
    whole = [commands.run] if programs.submit is None else [step.command for step in steps]
    if config.publish.to is not None:
        steps.append(Step("publish", commands.publish, tuple(stage.name for stage in chosen)))
        whole.append(commands.publish)
    place = storage.locate(config.root)
    words = (
        str(folder),
        str(place),
        *(word for command in (commands.run, *whole) for word in command),
    )
    _check(words, overrides)
    read_too = [str(storage.locate(config.base))] if config.base else []
    places = (*words, *read_too, *_inputs(config, chosen))
    return Job(
        _name(pipeline.stem), at, folder, place, tuple(steps), tuple(whole), places, is_dated
    )


def _inputs(config: Config, chosen: Sequence[Stage]) -> list[str]:
    paths = (path for stage in chosen for path in stage.raw(config) if not split_dataset_path(path))
    return [str(storage.locate(path)) for path in paths]


def _before(config: Config, chosen: Sequence[Stage], stage: Stage) -> tuple[str, ...]:
    """The stages that write what this one reads."""
    reads = set(stage.reads(config))
    return tuple(other.name for other in chosen if reads & set(other.writes(config)))


def _name(stem: str) -> str:
    """The pipeline's name in letters that units, DAGs and files may have; different names stay
    different.
    """
    plain = _STRANGE.sub("_", stem)
    return (
        plain
        if plain == stem
        else f"{plain}-{hashlib.sha256(stem.encode(errors='surrogateescape')).hexdigest()[:8]}"
    )


def _may_be_secret(override: str) -> bool:
    key, _, value = override.partition("=")
    name = key.strip().removeprefix("spark.conf.")
    if name != key.strip():
        return may_be_secret(name, value.strip())
    return is_secret(key) or public(value) != value


def _check(texts: Iterable[str], overrides: Sequence[str]) -> None:
    secret = next(
        (override.partition("=")[0] for override in overrides if _may_be_secret(override)), None
    )
    if secret:
        raise ConfigError(
            f"--set {secret}: a scheduler's file keeps no secret; put it into the pipeline file"
        )
    for text in texts:
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in text):
            raise ConfigError(
                f"{text!r} cannot be scheduled: it holds a control character, or is not UTF-8;"
                " rename it"
            )
