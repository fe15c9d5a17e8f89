"""What every stage needs, once: inputs checked, what is up to date skipped, the rest run, committed
and reported.

A stage is a function `run(stage_run, ...)` named in the table of `emberline.stages`; it writes
parts and calls `StageRun.add`; the runner commits all of the stage's manifests, under one run_id,
after the function has returned.
"""

import fnmatch
import functools
import hashlib
import importlib
import importlib.resources
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any, Literal, Protocol

from emberline import extras
from emberline import status as statuses
from emberline.datasets import disk, lock, storage
from emberline.datasets import inputs as raw_inputs
from emberline.datasets import manifest as manifests
from emberline.datasets.footers import check_footers
from emberline.datasets.inputs import Digests
from emberline.datasets.lock import Lock
from emberline.datasets.manifest import Dataset, Kind, Manifest, Part, ProducedBy
from emberline.datasets.prune import WORK
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Listing, Location, RawFile
from emberline.errors import ConfigError, DataError, EmberlineError, ManifestError, Preempted
from emberline.launch.stop import Stop
from emberline.logs import event
from emberline.look import examine
from emberline.sections.config import Config
from emberline.stages import Stage, producer, split_dataset_path
from emberline.status import Status

log = logging.getLogger(__name__)

ENGINES = {
    "spark": "emberline.spark.session:Engine",
    "tensorflow": "emberline.cnn.engine:Engine",
    "python": "emberline.runner:PythonEngine",
}


class Engine(AbstractContextManager["Engine"], Protocol):
    """What a framework's stages share; `call` runs one stage's function, here or in a process
    that has the framework.
    """

    def call(self, run: "StageRun") -> None: ...


class PythonEngine(nullcontext["PythonEngine"]):
    """Runs a stage's function as it is."""

    def __init__(self, config: Config) -> None:
        super().__init__(self)

    def call(self, run: "StageRun") -> None:
        resolve(run.stage.target)(run)


@dataclass(frozen=True)
class Decision:
    """Whether a stage has something to do, and why."""

    stage: Stage
    action: Literal["run", "skip"]
    reason: str


@dataclass
class Outcome:
    """How one stage ended: `rows` per dataset written (or found up to date), `metrics` as the
    stage reported them.
    """

    stage: Stage
    action: Literal["run", "skip"]
    reason: str
    seconds: float
    rows: dict[str, int]
    metrics: dict[str, Any]


class Listener(Protocol):
    """Somebody who wants to see stages begin and end."""

    def started(self, decision: Decision, position: int, total: int) -> None: ...
    def progressed(self, text: str) -> None: ...
    def finished(self, outcome: Outcome, position: int, total: int) -> None: ...


@dataclass
class StageRun:
    """One run of one stage, as its function sees it.

    `raw` has the raw files, listed once: what the fingerprint says of them is true of what is read.
    `progress` takes a line for people. A stage that trains says at every step `at` what it is
    (phase, step), which costs next to nothing, and asks whether it is `stopping`: then it saves and
    raises Preempted. `committed` is called once the outputs are.
    """

    config: Config
    stage: Stage
    root: Location
    inputs: dict[str, Dataset]
    fingerprint: str
    run_id: str
    raw: dict[str, list[RawFile]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Manifest] = field(default_factory=dict)
    continued: dict[str, dict[str, str]] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda text: None
    stopping: Callable[[], bool] = lambda: False
    at: Callable[[str, int], None] = lambda phase, step: None
    committed: Callable[[], None] = lambda: None

    @property
    def settings(self) -> Any:
        """The stage's own section of the config."""
        return self.stage.settings(self.config)

    @property
    def work(self) -> Location:
        """A folder that survives a killed attempt at the same fingerprint, and is removed after
        the commit.
        """
        return self.root / WORK / self.stage.name / self.fingerprint[:16]

    @property
    def scratch(self) -> Location:
        """A folder that is removed when the run ends, well or not."""
        return self.work / self.run_id

    def folder(self, name: str) -> Location:
        """Where this run writes the parts of its output `name`."""
        return self.root / name / manifests.run_folder(self.fingerprint, self.run_id)

    def previous(self, name: str) -> Dataset | None:
        """The output `name` as committed by an earlier run that this one continues, recorded as
        lineage; None at first.

        Raises ManifestError where it is damaged: to start anew is for people to decide, since what
        builds on it would not fit.
        """
        if not manifests.exists(self.root, name):
            return None
        try:
            dataset = manifests.load(self.root, name)
            check_footers(dataset)
        except EmberlineError as error:
            raise self._cannot_continue(name, str(error)) from error
        self.continued[name] = dataset.manifest.identity()
        return dataset

    def _cannot_continue(self, name: str, why: str) -> ManifestError:
        return ManifestError(
            f"{self.stage.name} continues {name}, which is damaged ({why}). Restore"
            f" {self.root / name} from a backup; or, to start anew, remove"
            f" {', '.join(self.stage.writes(self.config))} from {self.root} and run everything"
            " again"
        )

    def unreadable(self, path: Location) -> DataError:
        """What to say of a file that this run could not read: a part of a table, its own work,
        or a raw file.
        """
        table = path.parent.parent.name
        if table in self.inputs:
            return manifests.damaged(self.inputs[table], path, "its pages were altered")
        if table in self.continued:
            return self._cannot_continue(table, f"{path} cannot be read")
        if f"/{WORK}/{self.stage.name}/" in str(path):
            return DataError(
                f"{path} cannot be read, though {self.stage.name} has just written it; check the"
                " disk, and run it again"
            )
        return DataError(f"{path} cannot be read: it is damaged, or was changed while it was read")

    def raw_files(self, path: str) -> list[RawFile]:
        """The input files that a setting names: a path, a folder, a glob, or files of an
        artifact (`dataset:shop/*.csv`).
        """
        source = split_dataset_path(path)
        if source is None:
            return self.raw[path]
        name, pattern = source
        return _files_of(self.inputs[name], pattern)

    def add(
        self,
        name: str,
        parts: Sequence[Part],
        rank: int | None = None,
        seed: int | None = None,
        **info: Any,
    ) -> None:
        """Announce the finished parts of an output; it becomes a dataset when the stage's
        function has returned.
        """
        schema = TABLES.get(name)
        kind: Kind = "artifact" if schema is None else "table"
        produced_by = ProducedBy(
            stage=self.stage.name,
            fingerprint=self.fingerprint,
            run_id=self.run_id,
            config=self.settings.what(),
            inputs={key: dataset.manifest.identity() for key, dataset in self.inputs.items()},
            previous=self.continued,
            code=code_hash(),
        )
        fields = fields_of(schema) if schema is not None else []
        rows = sum(part.rows for part in parts)
        self.outputs[name] = Manifest(
            name, kind, fields, rows, list(parts), produced_by, rank, seed, info
        )

    def written(self, name: str) -> Dataset:
        """An output that this run has added, before it is committed, for reading it again."""
        return Dataset(self.root / name, self.outputs[name])


def new_run_id() -> str:
    """An id that sorts by time and that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


@functools.cache
def code_hash() -> str:
    """The sha256 of the package's sources and templates, whether they lie in a folder or in a
    zip.
    """
    digest = hashlib.sha256()
    for name, content in sorted(sources()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def sources(folder: Traversable | None = None, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The package's sources and templates: path below the package, and content."""
    for entry in (folder or importlib.resources.files("emberline")).iterdir():
        if entry.is_dir():
            yield from sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".j2", ".css")):
            yield prefix + entry.name, entry.read_bytes()


def plan(
    config: Config, root: Location, stages: Sequence[Stage], force: bool = False
) -> list[Decision]:
    """Say for each stage whether it would run, and why, reading manifests and the first lines of
    raw files but computing nothing.

    Raises DataError where raw files are not there, or cannot be what the settings say.
    """
    for stage in stages:
        examine.check(config, stage, _raw_files(config, root, stage))
    decisions: list[Decision] = []
    changing: dict[str, str] = {}
    for stage in stages:
        upstream = next((changing[name] for name in stage.reads(config) if name in changing), None)
        if upstream:
            decision = Decision(stage, "run", _with_its_end(root, stage, f"{upstream} runs before"))
        else:
            decision = _decide(config, root, stage, _open_inputs(config, root, stage), force)
        if decision.action == "run":
            changing |= dict.fromkeys(stage.writes(config), stage.name)
        decisions.append(decision)
    return decisions


def run(
    config: Config,
    root: Location,
    stages: Sequence[Stage],
    listener: Listener | None = None,
    force: bool = False,
    stop: Stop | None = None,
) -> list[Outcome]:
    """Run the stages that are not up to date, in order, in one session per engine, while nobody
    else does so in this root.

    Raises ConfigError and DataError before the first stage where a link stands in the root's place
    for something that is written, or any one's raw files are not there, Preempted where `stop` was
    requested while a stage ran.
    """
    outcomes = []
    stop = stop or Stop()
    with ExitStack() as stack:
        stack.enter_context(disk.explained(root))
        held = stack.enter_context(lock.hold(root))
        engine = functools.cache(lambda name: stack.enter_context(resolve(ENGINES[name])(config)))
        progress = listener.progressed if listener else lambda text: None
        storage.refuse_links(root, *_written_places(config, root, stages))
        for stage in stages:
            statuses.settle(root, stage.name)
        for stage in stages:  # hours may pass until the last one looks for its files
            with _failure_in_status(config, root, stage):
                examine.check(config, stage, _raw_files(config, root, stage))
        _check_tensorflow(config, root, stages, force)
        for position, stage in enumerate(stages, start=1):
            with _failure_in_status(config, root, stage):
                if stop.requested:
                    raise _stopped(stage)
                inputs = _open_inputs(config, root, stage)
                decision = _decide(config, root, stage, inputs, force, notes=True)
            if listener:
                listener.started(decision, position, len(stages))
            began = time.monotonic()
            if decision.action == "skip":
                finished = _skip(config, root, stage)
            else:
                finished = _execute(config, root, stage, inputs, engine, progress, held, stop)
            rows = {name: finished.outputs[name].rows for name in stage.writes(config)}
            outcome = Outcome(
                stage,
                decision.action,
                decision.reason,
                time.monotonic() - began,
                rows,
                finished.metrics,
            )
            if listener:
                listener.finished(outcome, position, len(stages))
            outcomes.append(outcome)
    return outcomes


def _check_tensorflow(config: Config, root: Location, stages: Sequence[Stage], force: bool) -> None:
    """Raises ConfigError where a stage would run on TensorFlow, which is not installed: found
    out now, not hours later.
    """
    if extras.has_tensorflow():
        return
    for stage, action in (
        (decision.stage, decision.action) for decision in plan(config, root, stages, force)
    ):
        if action == "run" and stage.engine == "tensorflow":
            with _failure_in_status(config, root, stage):
                raise ConfigError(
                    f"{stage.name} needs TensorFlow, which is not installed: {extras.REMEDY}, "
                    "or leave out [cnn] and what builds on it"
                )


def _written_places(config: Config, root: Location, stages: Sequence[Stage]) -> Iterator[Location]:
    yield from (root / statuses.FOLDER, root / raw_inputs.FOLDER)
    for stage in stages:
        yield root / WORK / stage.name
        yield from (root / name for name in stage.writes(config))


def _open_inputs(config: Config, root: Location, stage: Stage) -> dict[str, Dataset]:
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


def _decide(
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
    raw = _raw_files(config, root, stage)
    if produced_by.fingerprint == _fingerprint(config, stage, inputs, raw):
        return None
    changes = _what_changed(config, stage, inputs, produced_by)
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
    if before.fingerprint != _fingerprint(config, stage, inputs, as_read):
        return found.changes or "the raw input files changed"
    if notes and found.known is not read:
        # so that the next look need not read them again
        raw_inputs.write(root, stage.name, found.known)
    return None


def _what_changed(
    config: Config, stage: Stage, inputs: dict[str, Dataset], before: ProducedBy
) -> list[str]:
    """The settings, inputs and code that are not those of the stage's last run."""
    now = _flatten(stage.settings(config).what(), stage.section)
    then = _flatten(before.config, stage.section)
    changes = [
        f"{key} was {then.get(key)!r}, is {now.get(key)!r}"
        for key in now | then
        if now.get(key) != then.get(key)
    ]
    changes += [
        f"{name} is new"
        for name, dataset in inputs.items()
        if before.inputs.get(name) != dataset.manifest.identity()
    ]
    if before.code != code_hash():
        changes.append("emberline's code changed")
    return changes


def _flatten(settings: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= (
            _flatten(value, f"{prefix}.{key}")
            if isinstance(value, dict)
            else {f"{prefix}.{key}": value}
        )
    return flat


def _fingerprint(
    config: Config, stage: Stage, inputs: dict[str, Dataset], raw: Mapping[str, Sequence[RawFile]]
) -> str:
    """sha256 of all that decides the stage's result."""
    content = {
        "stage": stage.name,
        "config": stage.settings(config).what(),
        "inputs": {name: dataset.manifest.identity() for name, dataset in inputs.items()},
        "raw": [_raw_identity(path, raw) for path in stage.raw(config)],
        "code": code_hash(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _raw_files(config: Config, root: Location, stage: Stage) -> dict[str, list[RawFile]]:
    """By the setting that names them, the raw files that no stage makes."""
    return {path: listing.files for path, listing in _listings(config, root, stage).items()}


def _listings(config: Config, root: Location, stage: Stage) -> dict[str, Listing]:
    return {
        path: storage.survey(path, root)
        for path in stage.raw(config)
        if split_dataset_path(path) is None
    }


def _raw_identity(path: str, raw: Mapping[str, Sequence[RawFile]]) -> list[Any]:
    """What a stage knows of its raw files before it reads them; of an artifact's, which they
    are: the rest is its identity.
    """
    return (
        [[file.relative, file.size, file.modified] for file in raw[path]] if path in raw else [path]
    )


def _files_of(dataset: Dataset, pattern: str) -> list[RawFile]:
    files = []
    for part, path in zip(dataset.manifest.parts, dataset.paths, strict=True):
        relative = PurePosixPath(*PurePosixPath(part.path).parts[1:]).as_posix()
        if fnmatch.fnmatch(relative, pattern):
            stat = path.stat()
            files.append(RawFile(str(path), relative, stat.st_size, stat.st_mtime_ns))
    if not files:
        raise ManifestError(f"no file of {dataset.name} matches {pattern!r}")
    return files


def _skip(config: Config, root: Location, stage: Stage) -> StageRun:
    log.info(event("stage_skipped", stage=stage.name, reason="up to date"))
    outputs = {name: manifests.load(root, name).manifest for name in stage.writes(config)}
    run_id = next(iter(outputs.values())).produced_by.run_id
    found = StageRun(config, stage, root, {}, "", run_id, outputs=outputs)
    status = statuses.read(root, stage.name)
    if status is not None and status.state == "succeeded" and status.run_id == run_id:
        found.metrics = status.metrics
    else:  # a later run failed, or was killed, and what is there is right all the same
        fingerprint = next(iter(outputs.values())).produced_by.fingerprint
        rows = {name: manifest.rows for name, manifest in outputs.items()}
        statuses.write(
            root, Status(stage.name, "running", run_id, fingerprint).succeeded(0.0, rows, {})
        )
    return found


def _execute(
    config: Config,
    root: Location,
    stage: Stage,
    inputs: dict[str, Dataset],
    engine: Callable[[str], Engine],
    progress: Callable[[str], None],
    held: Lock,
    stop: Stop,
) -> StageRun:
    with _failure_in_status(config, root, stage):
        listings = _listings(config, root, stage)
        raw = {path: listing.files for path, listing in listings.items()}
        fingerprint = _fingerprint(config, stage, inputs, raw)
        this = StageRun(
            config, stage, root, inputs, fingerprint, new_run_id(), raw, progress=progress
        )
    this.stopping = lambda: stop.requested
    storage.refuse_links(root, this.work)
    log.info(
        event(
            "stage_started",
            stage=stage.name,
            run_id=this.run_id,
            fingerprint=this.fingerprint[:16],
            **_where(config, stage),
        )
    )
    _tell_passed_over(this, listings)
    began = time.monotonic()
    status = Status(stage.name, "running", this.run_id, this.fingerprint)
    statuses.write(root, status)
    try:
        with Digests([file for files in raw.values() for file in files]) as digests:
            with stop.saving() if stage.saves else nullcontext():
                engine(stage.engine).call(this)
            held.check()
            if raw:
                raw_inputs.write(
                    root, stage.name, raw_inputs.of(this.run_id, list(raw.values()), digests)
                )
        _commit(this)
        this.committed()
    except BaseException as error:
        ended = _as_told(error, this, stop)
        _clean_up(this)
        statuses.write(root, status.ended(ended, time.monotonic() - began, this.metrics))
        if ended is error:
            raise
        raise ended from error
    storage.remove_folder(this.work)
    rows = {name: manifest.rows for name, manifest in this.outputs.items()}
    statuses.write(root, status.succeeded(time.monotonic() - began, rows, this.metrics))
    log.info(
        event(
            "stage_finished",
            stage=stage.name,
            run_id=this.run_id,
            seconds=time.monotonic() - began,
            **rows,
        )
    )
    return this


def _as_told(error: BaseException, this: StageRun, stop: Stop) -> BaseException:
    """The error that says in one line what ended a stage, where something other than the stage
    did.
    """
    if stop.requested and not isinstance(error, EmberlineError):
        return _stopped(this.stage)
    return disk.refusal(error, this.root) or error


def _tell_passed_over(this: StageRun, listings: dict[str, Listing]) -> None:
    """What lies among the raw files and is not read is in the log and in the stage's metrics."""
    told = {path: str(listing) for path, listing in listings.items() if listing.passed_over}
    for path, what in told.items():
        log.info(event("passed_over", stage=this.stage.name, path=path, files=what))
    if told:
        this.metrics["passed_over"] = told


def _stopped(stage: Stage) -> Preempted:
    return Preempted(f"{stage.name} was asked to stop, and wrote nothing; run it again")


def _where(config: Config, stage: Stage) -> dict[str, Any]:
    """The settings that are logged instead of fingerprinted."""
    settings = stage.settings(config)
    what = settings.what()
    return {name: value for name, value in settings if name not in what}


def _commit(this: StageRun) -> None:
    promised = set(this.stage.writes(this.config))
    if set(this.outputs) != promised:
        raise AssertionError(
            f"{this.stage.name} wrote {sorted(this.outputs)}, its row of the table says"
            f" {sorted(promised)}"
        )
    for manifest in this.outputs.values():
        manifests.commit(this.root, manifest)


def _clean_up(this: StageRun) -> None:
    """Remove what a failed run wrote, but nothing that it may already have committed."""
    storage.remove_folder(this.scratch)
    # else it holds what an attempt at the same fingerprint can continue from
    storage.remove_if_empty(this.work)
    for name in this.stage.writes(this.config):
        committed = manifests.exists(this.root, name) and _run_of(this.root, name) == this.run_id
        if not committed:
            storage.remove_folder(this.folder(name))


def _run_of(root: Location, name: str) -> str | None:
    try:
        return manifests.load(root, name).manifest.produced_by.run_id
    except EmberlineError:
        return None


@contextmanager
def _failure_in_status(config: Config, root: Location, stage: Stage) -> Iterator[None]:
    """What fails before a stage begins is in its status, too; else the last run's success would
    stay there.
    """
    try:
        yield
    except EmberlineError as error:
        statuses.write(root, Status(stage.name, "running", new_run_id(), "").ended(error, 0.0, {}))
        raise


def resolve(target: str) -> Callable[..., Any]:
    """The object that `module:name` names."""
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
