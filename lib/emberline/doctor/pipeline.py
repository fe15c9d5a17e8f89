"""A pipeline's own needs: its file, its inputs and the datasets that are there already."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from emberline import pipelines, stages
from emberline.datasets import listing, storage
from emberline.datasets.listing import RawFile
from emberline.datasets.storage import Location
from emberline.doctor.check import Check, error, ok, warning
from emberline.errors import EmberlineError
from emberline.look.examine import look
from emberline.look.sources import of_stage
from emberline.runs import plan as plans
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage

FRAMEWORKS = {"spark", "tensorflow"}


@dataclass(frozen=True)
class Target:
    """What is to run, as far as it is known; without a pipeline file all defaults and every
    engine.
    """

    config: Config = field(default_factory=Config)
    root: Location | None = None
    stages: Sequence[Stage] = ()
    engines: set[str] = field(default_factory=lambda: set(FRAMEWORKS))


def read_target(
    pipeline: Path | None, root: str | None, overrides: Sequence[str], day: date | None
) -> tuple[Target, list[Check]]:
    """The target, and a line for the pipeline file; a file that is wrong leaves the machine to
    be looked at.
    """
    try:
        if pipeline is None:
            return Target(root=storage.locate(root) if root else None), []
        config = pipelines.load(pipeline, overrides, day)
        selected = stages.select(config)
        engines: set[str] = {stage.engine for stage in selected}
        if any(stage.may_need_spark(config) for stage in selected):
            engines.add("spark")
        target = Target(config, storage.locate(config.root), selected, engines)
    except EmberlineError as failure:
        return Target(), [
            error(
                "pipeline" if pipeline else "root",
                str(failure),
                "correct it and run emberline doctor again",
            )
        ]
    return target, [ok("pipeline", f"{pipeline}, stages: {len(selected)}")]


def check_inputs(target: Target) -> tuple[list[Check], int]:
    """A line for each input that has to be there before the run, and their bytes together."""
    checks, size = [], 0
    for section, path in raw_paths(target):
        name = f"{section}.path"
        try:
            files = listing.list_files(path, target.root)
        except (EmberlineError, OSError) as failure:
            checks.append(error(name, str(failure), f"correct {name}, or bring the files"))
        else:
            size += _bytes(files)
            checks.append(ok(name, f"{path}: files {len(files):,}, bytes {_bytes(files):,}"))
    return checks, size


def check_rows(target: Target) -> list[Check]:
    """A line for what is odd in the first rows of each source; the files are there."""
    checks = []
    for source in (source for stage in target.stages for source in of_stage(target.config, stage)):
        try:
            found = look(source, listing.list_files(source.config.path, target.root))
        except (EmberlineError, OSError) as failure:
            checks.append(
                error(
                    source.setting, str(failure), "correct the pipeline file, or bring other files"
                )
            )
        else:
            state = {True: error, False: warning}
            checks += [
                state[one.is_error](one.setting, one.message, "correct the pipeline file")
                for one in found
            ]
    return checks


def raw_paths(target: Target) -> list[tuple[str, str]]:
    """Sections and paths of the raw files that no stage makes."""
    named = [(stage.section, path) for stage in target.stages for path in stage.raw(target.config)]
    return [
        (section, path)
        for section, path in dict.fromkeys(named)
        if split_dataset_path(path) is None
    ]


def check_datasets(target: Target) -> list[Check]:
    """What a run would do with the datasets that are in the root."""
    if not target.stages or target.root is None:
        return []
    try:
        decisions = plans.plan(target.config, target.root, target.stages)
    except (EmberlineError, OSError) as failure:
        return [error("datasets", str(failure), "emberline plan says more")]
    todo = sum(decision.action == "run" for decision in decisions)
    return [
        ok("datasets", f"stages with something to do {todo}, up to date {len(decisions) - todo}")
    ]


def _bytes(files: Sequence[RawFile]) -> int:
    return sum(file.size for file in files)
