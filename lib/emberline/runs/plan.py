"""Which stages have something to do, and why."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from emberline.datasets import inputs as raw_inputs
from emberline.datasets import listing as listings
from emberline.datasets import manifest as manifests
from emberline.datasets import storage
from emberline.datasets.listing import Listing
from emberline.datasets.manifest import Dataset, ProducedBy
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, ManifestError
from emberline.look import examine
from emberline.runs import private
from emberline.runs import status as statuses
from emberline.runs.fingerprint import fingerprint_of, what_changed
from emberline.runs.inputs import Inputs
from emberline.runs.roots import Roots, absolute
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import producer

Raw = Mapping[str, Listing]


@dataclass(frozen=True)
class Decision:
    """Whether a stage has something to do, and why; `places` says of each of its inputs in which
    root it is, or will be.
    """

    stage: Stage
    action: Literal["run", "skip"]
    reason: str
    places: Mapping[str, Location] = field(default_factory=dict)


def plan(
    config: Config,
    root: Location,
    stages: Sequence[Stage],
    force: bool = False,
) -> list[Decision]:
    """Say for each stage whether it would run, and why, reading manifests and the first lines of
    raw files but computing nothing.

    Raises DataError where raw files are not there, or cannot be what the settings say.
    """
    roots = Roots.of(config, root)
    private.check(config, roots)
    raw = {stage.name: list_raw(config, roots, stage) for stage in stages}
    for stage in stages:
        check_raw(config, roots, stage, raw[stage.name])
    return decisions(config, roots, stages, raw, force)


def decisions(
    config: Config,
    roots: Roots,
    stages: Sequence[Stage],
    raw: Mapping[str, Raw],
    force: bool,
    notes: bool = False,
) -> list[Decision]:
    """What to do for each stage with the raw files that are listed; with `notes`, new times of the
    same files are noted.
    """
    decided: list[Decision] = []
    changing: dict[str, str] = {}
    for stage in stages:
        decision = _foreseen(config, roots, stage, raw[stage.name], force, changing, notes)
        if decision.action == "run":
            changing |= dict.fromkeys(stage.writes(config), stage.name)
        decided.append(decision)
    return decided


def foreseen_skips(
    config: Config, roots: Roots, stages: Sequence[Stage], raw: Mapping[str, Raw], force: bool
) -> set[str]:
    """The names of the stages that are up to date; none where what one reads is damaged, which is
    told when it is its turn. Notes are taken of raw files of which only the times are new.
    """
    with suppress(EmberlineError):
        decided = decisions(config, roots, stages, raw, force, notes=True)
        return {one.stage.name for one in decided if one.action == "skip"}
    return set()


def _foreseen(
    config: Config,
    roots: Roots,
    stage: Stage,
    raw: Raw,
    force: bool,
    changing: Mapping[str, str],
    notes: bool,
) -> Decision:
    """What to do for a stage, before which others will have written what is `changing`."""
    reads = stage.reads(config)
    upstream = next((changing[name] for name in reads if name in changing), None)
    if upstream is None:
        inputs = open_inputs(config, roots, stage, raw)
        return decide(config, roots, stage, inputs, force, notes)
    places = {
        name: roots.root if name in changing else roots.place_of(name) or roots.root
        for name in reads
    }
    reason = _with_its_end(roots, stage, f"{upstream} runs before")
    return Decision(stage, "run", reason, places)


def open_inputs(config: Config, roots: Roots, stage: Stage, raw: Raw) -> Inputs:
    """What the stage reads, its raw files as they are listed. Raises ManifestError for an input
    that is not there, or damaged, or not of one run with another.
    """
    datasets = {}
    for name in stage.reads(config):
        found = roots.load(name)
        if found is None:
            raise ManifestError(
                f"{stage.name} reads {name}, which is not in {roots}; run {producer(config, name)}"
                " first"
            )
        datasets[name] = found
    manifests.check_same_run(datasets.values())
    datasets |= elsewhere(config, roots, stage)
    return Inputs(datasets, raw, private.decided(config, stage, roots))


def elsewhere(config: Config, roots: Roots, stage: Stage) -> dict[str, Dataset]:
    """What the stage reads of other pipelines' roots. Raises ConfigError for one that is this
    run's, or has no such dataset.
    """
    found = {}
    for name, place in stage.elsewhere(config).items():
        root = storage.locate(place.root)
        if absolute(root) == absolute(roots.root):
            raise ConfigError(
                f"{place.setting} is {root}, the root that this run writes: give another one"
            )
        if not manifests.exists(root, place.dataset):
            raise ConfigError(
                f"{place.setting} is {root}, where there is no {place.dataset}; run"
                f" {stage.name} there first, or give another root"
            )
        found[name] = manifests.load(root, place.dataset)
    return found


def decide(
    config: Config, roots: Roots, stage: Stage, inputs: Inputs, force: bool, notes: bool = False
) -> Decision:
    """Whether the stage has something to do with these inputs; `notes` are taken of raw files of
    which only the times are new.
    """
    places = {name: dataset.folder.parent for name, dataset in inputs.items()}
    place = roots.place_of_all(stage.writes(config))
    reason = _why_run(config, place, stage, inputs, notes and place == roots.root)
    if force:
        reason = "forced"
    elif reason and place != roots.root:
        reason = f"is in {place}, where {reason}"
    if reason:
        return Decision(stage, "run", _with_its_end(roots, stage, reason), places)
    up_to_date = "up to date" if place == roots.root else f"up to date in {place}"
    return Decision(stage, "skip", up_to_date, places)


def _with_its_end(roots: Roots, stage: Stage, reason: str) -> str:
    """Why a stage runs; and that its last run was killed, where it was."""
    status = statuses.look(roots.root, stage.name)
    if status is None or status.state != "killed":
        return reason
    return f"{reason}; its last run, at work since {status.updated}, was killed"


def _why_run(
    config: Config, place: Location, stage: Stage, inputs: Inputs, notes: bool
) -> str | None:
    """Why the stage's outputs in this place are not what it would write now; None where they
    are.
    """
    names = stage.writes(config)
    missing = [name for name in names if not manifests.exists(place, name)]
    if missing:
        return "never run here" if len(missing) == len(names) else f"{', '.join(missing)} missing"
    try:
        outputs = [manifests.load(place, name) for name in names]
        manifests.check_same_run(outputs)
    except EmberlineError as error:
        return str(error)
    produced_by = outputs[0].manifest.produced_by
    if produced_by.fingerprint == fingerprint_of(config, stage, inputs):
        return None
    changes = what_changed(config, stage, inputs, produced_by)
    if changes:
        return "; ".join(changes)
    return _what_files_changed(config, place, stage, inputs, produced_by, notes)


def _what_files_changed(
    config: Config,
    place: Location,
    stage: Stage,
    inputs: Inputs,
    before: ProducedBy,
    notes: bool,
) -> str | None:
    """Which raw files are not what the stage's last run read; None where their times alone are
    new, which it may note.
    """
    read = raw_inputs.read(place, stage.name)
    if read is None or read.run_id != before.run_id:
        return "the raw input files changed"
    found = read.compare(inputs.sources, private.file_name(config, stage))
    if before.fingerprint != fingerprint_of(config, stage, inputs.listed_as(found.files)):
        return found.changes or "the raw input files changed"
    if notes and found.known is not read:
        # so that the next look need not read them again
        raw_inputs.write(place, stage.name, found.known)
    return None


def list_raw(config: Config, roots: Roots, stage: Stage) -> Raw:
    """By the setting that names them, the raw files that no stage makes."""
    return {
        path: _without(listings.survey(path, roots.root), roots.base)
        for path in stage.raw(config)
        if split_dataset_path(path) is None
    }


def _without(listing: Listing, base: Location | None) -> Listing:
    """The files that are not the base's own."""
    if base is None:
        return listing
    own = f"{absolute(base)}/"
    files = [file for file in listing.files if not file.uri.startswith((f"{base}/", own))]
    if len(files) == len(listing.files):
        return listing
    told = {"of this run's base": (len(listing.files) - len(files), str(base))}
    return Listing(files, {**listing.passed_over, **told})


def check_raw(config: Config, roots: Roots, stage: Stage, raw: Raw) -> None:
    """Raises DataError where the raw files cannot be what the settings say, ConfigError where
    another pipeline's root has not what is read there.
    """
    elsewhere(config, roots, stage)
    examine.check(config, stage, {path: listing.files for path, listing in raw.items()})
