"""What every stage needs, once: inputs checked, what is up to date skipped, the rest run, committed
and reported.

A stage is a function `run(stage_run, ...)` named in the table of `emberline.stages`; it writes
parts and calls `Outputs.add`; the runner commits all of the stage's manifests, under one run_id,
after the function has returned.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from emberline.datasets import disk, lock, storage
from emberline.datasets import inputs as raw_inputs
from emberline.datasets import manifest as manifests
from emberline.datasets.facts import Accounts, PassedOver
from emberline.datasets.inputs import Digests
from emberline.datasets.lock import Lock
from emberline.datasets.manifest import Manifest
from emberline.datasets.prune import WORK
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError, Preempted
from emberline.launch.peak import Peak
from emberline.launch.stop import Stop
from emberline.logs import event
from emberline.runs import engines, private
from emberline.runs import status as statuses
from emberline.runs.engines import Engine, Engines, Name
from emberline.runs.inputs import Inputs
from emberline.runs.plan import (
    Decision,
    Raw,
    check_raw,
    decide,
    decisions,
    foreseen_skips,
    list_raw,
    open_inputs,
)
from emberline.runs.roots import Roots
from emberline.runs.size import input_bytes
from emberline.runs.stage_run import Control, StageRun, begin, new_run_id
from emberline.runs.status import Status
from emberline.sections.config import Config
from emberline.sections.stage import Stage

log = logging.getLogger(__name__)


@dataclass
class Outcome:
    """How one stage ended: `rows` per dataset written (or found up to date), of which some are
    `unasked` for, `metrics` as the stage reported them; `peak_bytes` of memory, where it is known.
    """

    stage: Stage
    action: Literal["run", "skip"]
    reason: str
    seconds: float
    rows: dict[str, int]
    metrics: dict[str, Any]
    unasked: tuple[str, ...] = ()
    peak_bytes: int | None = None


class Listener(Protocol):
    """Somebody who wants to see stages begin and end."""

    def started(self, decision: Decision, position: int, total: int) -> None: ...
    def progressed(self, text: str) -> None: ...
    def finished(self, outcome: Outcome, position: int, total: int) -> None: ...


@dataclass(frozen=True)
class _Shared:
    """What all stages of one run have in common."""

    config: Config
    roots: Roots
    engine: Callable[[Name], Engine]
    held: Lock
    stop: Stop
    force: bool
    listener: Listener | None

    def control(self) -> Control:
        progress = self.listener.progressed if self.listener else lambda text: None
        return Control(progress, lambda: self.stop.requested)


def run(
    config: Config,
    root: Location,
    stages: Sequence[Stage],
    listener: Listener | None = None,
    force: bool = False,
    stop: Stop | None = None,
    shared: Engines | None = None,
) -> list[Outcome]:
    """Run the stages that are not up to date, in order, in one session per engine, while nobody
    else does so in this root. What the root lacks is read from its base. With `shared` engines,
    those of other runs serve this one, too.

    Raises ConfigError and DataError before the first stage where a link stands in the root's place
    for something that is written, or any one's raw files are not there, Preempted where `stop` was
    requested while a stage ran.
    """
    roots = Roots.of(config, root)
    with ExitStack() as stack:
        stack.enter_context(disk.explained(root))
        held = stack.enter_context(lock.hold(root))
        storage.refuse_links(root, *_written_places(config, root, stages))
        private.check(config, roots)
        for stage in stages:
            statuses.settle(root, stage.name)
        raw = _look_at_raw(config, roots, stages, force)
        _check_extras(config, roots, stages, raw, force)
        begun = shared or stack.enter_context(Engines())
        size = partial(input_bytes, config, roots, stages, raw)
        engine = partial(begun.get, config=config, input_bytes=size)
        common = _Shared(config, roots, engine, held, stop or Stop(), force, listener)
        return [
            _run_one(common, stage, raw[stage.name], position, stages)
            for position, stage in enumerate(stages, start=1)
        ]


def _look_at_raw(
    config: Config, roots: Roots, stages: Sequence[Stage], force: bool
) -> dict[str, Raw]:
    """The stages' raw files, listed once, and looked into where the stage is to run: hours may pass
    until the last one reads its files.
    """
    raw = {}
    for stage in stages:
        with _failure_in_status(roots.root, stage):
            raw[stage.name] = list_raw(config, roots, stage)
    skipped = foreseen_skips(config, roots, stages, raw, force)
    for stage in stages:
        if stage.name not in skipped:
            with _failure_in_status(roots.root, stage):
                check_raw(config, roots, stage, raw[stage.name])
    return raw


def _run_one(
    shared: _Shared, stage: Stage, raw: Raw, position: int, stages: Sequence[Stage]
) -> Outcome:
    """Decide on a stage, run it or not, and tell the listener."""
    total = len(stages)
    config, roots, listener = shared.config, shared.roots, shared.listener
    with _failure_in_status(roots.root, stage):
        if shared.stop.requested:
            raise _stopped(stage)
        inputs = open_inputs(config, roots, stage, raw)
        decision = decide(config, roots, stage, inputs, shared.force, notes=True)
    if listener:
        listener.started(decision, position, total)
    began = time.monotonic()
    if decision.action == "skip":
        ended = _skip(config, roots, stage, decision.reason)
    else:
        engines.begin_next(shared.engine, config, stage, stages[position:])
        ended = _execute(shared, stage, inputs)
    seconds = time.monotonic() - began
    facts = (ended.rows, ended.metrics, stage.unasked(config), ended.peak_bytes)
    outcome = Outcome(stage, decision.action, decision.reason, seconds, *facts)
    if listener:
        listener.finished(outcome, position, total)
    return outcome


def _check_extras(
    config: Config, roots: Roots, stages: Sequence[Stage], raw: Mapping[str, Raw], force: bool
) -> None:
    """Raises ConfigError where a stage would run that needs an extra of the package, which is not
    installed: found out now, not hours later.
    """
    needed = {stage.name: stage.extra(config) for stage in stages}
    if all(extra is None or extra.is_here() for extra in needed.values()):
        return
    for decision in decisions(config, roots, stages, raw, force):
        stage, extra = decision.stage, needed[decision.stage.name]
        if decision.action == "run" and extra and not extra.is_here():
            with _failure_in_status(roots.root, stage):
                raise ConfigError(
                    f"{stage.name} needs {extra.brings}, which is not installed: {extra.remedy}, "
                    f"or leave out [{stage.section}] and what builds on it"
                )


def _written_places(config: Config, root: Location, stages: Sequence[Stage]) -> Iterator[Location]:
    yield from (root / statuses.FOLDER, root / raw_inputs.FOLDER)
    for stage in stages:
        yield root / WORK / stage.name
        yield from (root / name for name in stage.writes(config))


def _skip(config: Config, roots: Roots, stage: Stage, reason: str) -> Status:
    """How the run of a stage ended whose outputs are up to date."""
    log.info(event("stage_skipped", stage=stage.name, reason=reason))
    names = stage.writes(config)
    place = roots.place_of_all(names)
    outputs = {name: manifests.load(place, name).manifest for name in names}
    by = next(iter(outputs.values())).produced_by
    rows = {name: manifest.rows for name, manifest in outputs.items()}
    status = statuses.read(place, stage.name)
    if status is not None and status.state == "succeeded" and status.run_id == by.run_id:
        return replace(status, rows=rows)
    found = Status(stage.name, "running", by.run_id, by.fingerprint).succeeded(0.0, rows, {})
    if place == roots.root:  # a later run failed, or was killed, and what is there is right
        statuses.write(place, found)
    return found


def _execute(shared: _Shared, stage: Stage, inputs: Inputs) -> Status:
    """Run a stage's function, and commit what it has written; how it ended."""
    root = shared.roots.root
    with _failure_in_status(root, stage):
        this = begin(shared.config, stage, shared.roots, inputs, shared.control())
    storage.refuse_links(root, this.outputs.work)
    status = _tell_begun(this)
    began = time.monotonic()
    try:
        with Peak() as peak:
            _call(shared, this)
            _commit(this)
    except BaseException as error:
        ended = _as_told(error, this, shared.stop)
        _clean_up(this)
        statuses.write(root, status.ended(ended, time.monotonic() - began, this.outputs.metrics))
        if ended is error:
            raise
        raise ended from error
    storage.remove_folder(this.outputs.work)
    rows = {name: this.outputs.rows(name) for name in this.outputs.promised}
    seconds = time.monotonic() - began
    done = status.succeeded(seconds, rows, this.outputs.metrics, peak.bytes)
    statuses.write(root, done)
    facts = {"stage": stage.name, "run_id": status.run_id, "seconds": seconds}
    log.info(event("stage_finished", **facts, peak_bytes=peak.bytes, **rows))
    return done


def _tell_begun(this: StageRun[Any]) -> Status:
    """Say in the log and in the status that the stage is at work, and what is not read of what
    lies among its raw files.
    """
    by, name = this.outputs.produced_by, this.stage.name
    facts = {"stage": name, "run_id": by.run_id, "fingerprint": by.fingerprint[:16]}
    log.info(event("stage_started", **facts, **_where(this.settings)))
    told = this.inputs.passed_over()
    for path, files in told.items():
        log.info(event("passed_over", stage=name, path=path, files=files))
    if told:
        this.outputs.measure(passed_over=told)
    status = Status(name, "running", by.run_id, by.fingerprint)
    statuses.write(this.outputs.root, status)
    return status


def _where(settings: Any) -> dict[str, Any]:
    """The settings that are logged instead of fingerprinted."""
    what = settings.what()
    return {name: value for name, value in settings if name not in what}


def _call(shared: _Shared, this: StageRun[Any]) -> None:
    """Run the stage's function by its engine, while digests of its raw files are taken."""
    sources, stage = this.inputs.sources, this.stage
    with Digests([file for files in sources for file in files]) as digests:
        with shared.stop.saving() if stage.saves else nullcontext():
            engine = engines.choose(stage, shared.config, shared.roots, this.inputs)
            engines.check_installed(engine, stage.name)
            shared.engine(engine).call(this)
        shared.held.check()
        if sources:
            called = private.file_name(this.config, stage)
            read = raw_inputs.of(this.outputs.produced_by.run_id, sources, digests, called)
            raw_inputs.write(this.outputs.root, stage.name, read)


def _as_told(error: BaseException, this: StageRun[Any], stop: Stop) -> BaseException:
    """The error that says in one line what ended a stage, where something other than the stage
    did.
    """
    if stop.requested and not isinstance(error, EmberlineError):
        return _stopped(this.stage)
    return disk.refusal(error, this.outputs.root) or error


def _stopped(stage: Stage) -> Preempted:
    return Preempted(f"{stage.name} was asked to stop, and wrote nothing; run it again")


def _commit(this: StageRun[Any]) -> None:
    outputs = this.outputs
    if set(outputs.manifests) != set(outputs.promised):
        raise AssertionError(
            f"{this.stage.name} wrote {sorted(outputs.manifests)}, its row of the table says"
            f" {sorted(outputs.promised)}"
        )
    if told := this.inputs.passed_over():
        for name in _accounting(outputs.manifests):
            outputs.finish(name, PassedOver(told))
    for manifest in outputs.manifests.values():
        manifests.commit(outputs.root, manifest)
    for act in outputs.after_commit:
        act()


def _accounting(written: Mapping[str, Manifest]) -> list[str]:
    """The outputs that account for what was read; where none does, all of them."""
    with_accounts = [name for name, manifest in written.items() if manifest.given(Accounts)]
    return with_accounts or list(written)


def _clean_up(this: StageRun[Any]) -> None:
    """Remove what a failed run wrote, but nothing that it may already have committed."""
    outputs = this.outputs
    storage.remove_folder(outputs.scratch)
    # else it holds what an attempt at the same fingerprint can continue from
    storage.remove_if_empty(outputs.work)
    for name in outputs.promised:
        if _run_of(outputs.root, name) != outputs.produced_by.run_id:
            storage.remove_folder(outputs.folder(name))


def _run_of(root: Location, name: str) -> str | None:
    """The run that wrote a dataset, where that can be told."""
    try:
        return manifests.load(root, name).manifest.produced_by.run_id
    except EmberlineError:
        return None


@contextmanager
def _failure_in_status(root: Location, stage: Stage) -> Iterator[None]:
    """What fails before a stage begins is in its status, too; else the last run's success would
    stay there.
    """
    try:
        yield
    except EmberlineError as error:
        statuses.write(root, Status(stage.name, "running", new_run_id(), "").ended(error, 0.0, {}))
        raise
