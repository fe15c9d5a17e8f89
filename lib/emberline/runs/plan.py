"""Which stages have something to do, and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from emberline.datasets import inputs as raw_inputs
from emberline.datasets import listing
from emberline.datasets import manifest as manifests
from emberline.datasets.listing import Listing, RawFile
from emberline.datasets.manifest import Dataset, ProducedBy
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError, ManifestError
from emberline.look import examine
from emberline.runs import status as statuses
from emberline.runs.fingerprint import fingerprint_of, what_changed
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import producer


@dataclass(frozen=True)
class Decision:
    """Whether a stage has something to do, and why."""

    stage: Stage
    action: Literal["run", "skip"]
    reason: str


def plan(
    config: Config, root: Location, stages: Sequence[Stage], force: bool = False
) -> list[Decision]:
    """Say for each stage whether it would run, and why, reading manifests and the first lines of
    raw files but computing nothing.

    Raises DataError where raw files are not there, or cannot be what the settings say.
    """
    for stage in stages:
        examine.check(config, stage, raw_files(config, root, stage))
    decisions: list[Decision] = []
    changing: dict[str, str] = {}
    for stage in stages:
        upstream = next((changing[name] for name in stage.reads(config) if name in changing), None)
        if upstream:
            decision = Decision(stage, "run", _with_its_end(root, stage, f"{upstream} runs before"))
        else:
            decision = decide(config, root, stage, open_inputs(config, root, stage), force)
        if decision.action == "run":
            changing |= dict.fromkeys(stage.writes(config), stage.name)
        decisions.append(decision)
    return decisions


def open_inputs(config: Config, root: Location, stage: Stage) -> dict[str, Dataset]:
    inputs = {}
    for name in stage.reads(config):
        if not manifests.exists(root, name):
            raise ManifestError(
                f"{stage.name} reads {name}, which is not in {root}; run {producer(config, name)}"
                " first"
            )
        inputs[name] = manifests.load(root, name)
    manifests.check_same_run(inputs.values())
    return inputs


def decide(
    config: Config,
    root: Location,
    stage: Stage,
    inputs: dict[str, Dataset],
    force: bool,
    notes: bool = False,
) -> Decision:
    reason = "forced" if force else _why_run(config, root, stage, inputs, notes)
    return (
        Decision(stage, "run", _with_its_end(root, stage, reason))
        if reason
        else Decision(stage, "skip", "up to date")
    )


def _with_its_end(root: Location, stage: Stage, reason: str) -> str:
    """Why a stage runs; and that its last run was killed, where it was."""
    status = statuses.look(root, stage.name)
    if status is None or status.state != "killed":
        return reason
    return f"{reason}; its last run, at work since {status.updated}, was killed"


def _why_run(
    config: Config, root: Location, stage: Stage, inputs: dict[str, Dataset], notes: bool
) -> str | None:
    """Why the stage's outputs are not what it would write now; None where they are."""
    names = stage.writes(config)
    missing = [name for name in names if not manifests.exists(root, name)]
    if missing:
        return "never run here" if len(missing) == len(names) else f"{', '.join(missing)} missing"
    try:
        outputs = [manifests.load(root, name) for name in names]
        manifests.check_same_run(outputs)
    except EmberlineError as error:
        return str(error)
    produced_by = outputs[0].manifest.produced_by
    raw = raw_files(config, root, stage)
    if produced_by.fingerprint == fingerprint_of(config, stage, inputs, raw):
        return None
    changes = what_changed(config, stage, inputs, produced_by)
    return (
        "; ".join(changes)
        if changes
        else _what_files_changed(config, root, stage, inputs, produced_by, raw, notes)
    )


def _what_files_changed(
    config: Config,
    root: Location,
    stage: Stage,
    inputs: dict[str, Dataset],
    before: ProducedBy,
    raw: dict[str, list[RawFile]],
    notes: bool,
) -> str | None:
    """Which raw files are not what the stage's last run read; None where their times alone are
    new, which it may note.
    """
    read = raw_inputs.read(root, stage.name)
    if read is None or read.run_id != before.run_id:
        return "the raw input files changed"
    found = read.compare(list(raw.values()))
    as_read = dict(zip(raw, found.files, strict=True))
    if before.fingerprint != fingerprint_of(config, stage, inputs, as_read):
        return found.changes or "the raw input files changed"
    if notes and found.known is not read:
        # so that the next look need not read them again
        raw_inputs.write(root, stage.name, found.known)
    return None


def raw_files(config: Config, root: Location, stage: Stage) -> dict[str, list[RawFile]]:
    """By the setting that names them, the raw files that no stage makes."""
    return {path: listing.files for path, listing in list_raw(config, root, stage).items()}


def list_raw(config: Config, root: Location, stage: Stage) -> dict[str, Listing]:
    return {
        path: listing.survey(path, root)
        for path in stage.raw(config)
        if split_dataset_path(path) is None
    }
