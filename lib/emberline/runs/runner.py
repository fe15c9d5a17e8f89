"""What every stage needs, once: inputs checked, what is up to date skipped, the rest run, committed
and reported.

A stage is a function `run(stage_run, ...)` named in the table of `emberline.stages`; it writes
parts and calls `StageRun.add`; the runner commits all of the stage's manifests, under one run_id,
after the function has returned.
"""

import functools
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from emberline import extras
from emberline.datasets import disk, lock, storage
from emberline.datasets import inputs as raw_inputs
from emberline.datasets import manifest as manifests
from emberline.datasets.inputs import Digests
from emberline.datasets.listing import Listing
from emberline.datasets.lock import Lock
from emberline.datasets.manifest import Dataset
from emberline.datasets.prune import WORK
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, Preempted
from emberline.launch.stop import Stop
from emberline.logs import event
from emberline.look import examine
from emberline.runs import status as statuses
from emberline.runs.fingerprint import fingerprint_of
from emberline.runs.package import resolve
from emberline.runs.plan import Decision, decide, list_raw, open_inputs, plan, raw_files
from emberline.runs.stage_run import StageRun, new_run_id
from emberline.runs.status import Status
from emberline.sections.config import Config
from emberline.sections.stage import Stage

log = logging.getLogger(__name__)

ENGINES = {
    "spark": "emberline.spark.session:Engine",
    "tensorflow": "emberline.cnn.engine:Engine",
    "python": "emberline.runs.runner:PythonEngine",
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
                examine.check(config, stage, raw_files(config, root, stage))
        _check_tensorflow(config, root, stages, force)
        for position, stage in enumerate(stages, start=1):
            with _failure_in_status(config, root, stage):
                if stop.requested:
                    raise _stopped(stage)
                inputs = open_inputs(config, root, stage)
                decision = decide(config, root, stage, inputs, force, notes=True)
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
        listings = list_raw(config, root, stage)
        raw = {path: listing.files for path, listing in listings.items()}
        fingerprint = fingerprint_of(config, stage, inputs, raw)
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
