"""One run of one stage, as the stage's function sees it."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from emberline.datasets import damage
from emberline.datasets.manifest import ProducedBy
from emberline.datasets.prune import WORK
from emberline.datasets.storage import Location
from emberline.errors import DataError
from emberline.runs.fingerprint import fingerprint_of
from emberline.runs.inputs import Inputs
from emberline.runs.outputs import Outputs
from emberline.runs.package import code_hash
from emberline.runs.roots import Roots
from emberline.sections.config import Config
from emberline.sections.stage import Stage

Settings = TypeVar("Settings", covariant=True)


@dataclass(frozen=True)
class Control:
    """What a stage and whoever watches it say to each other while it is at work.

    `progress` takes a line for people. A stage that trains says at every step `at` what it is
    (phase, step), which costs next to nothing, and asks whether it is `stopping`: then it saves and
    raises Preempted.
    """

    progress: Callable[[str], None] = lambda text: None
    stopping: Callable[[], bool] = lambda: False
    at: Callable[[str, int], None] = lambda phase, step: None


@dataclass(frozen=True)
class StageRun(Generic[Settings]):
    """What a stage is given: its own section of the config, what it reads, what it writes, and
    a line to whoever started it.
    """

    stage: Stage
    config: Config
    settings: Settings
    inputs: Inputs
    outputs: Outputs
    control: Control

    def unreadable(self, path: Location) -> DataError:
        """What to say of a file that this run could not read: a part of a table, its own work,
        or a raw file.
        """
        table = path.parent.parent.name
        if table in self.inputs:
            return damage.damaged(self.inputs[table], path, "its pages were altered")
        if table in self.outputs.continued:
            return self.outputs.cannot_continue(table, f"{path} cannot be read")
        if f"/{WORK}/{self.stage.name}/" in str(path):
            return DataError(
                f"{path} cannot be read, though {self.stage.name} has just written it; check the"
                " disk, and run it again"
            )
        return DataError(f"{path} cannot be read: it is damaged, or was changed while it was read")


def begin(
    config: Config,
    stage: Stage,
    roots: Roots,
    inputs: Inputs,
    control: Control | None = None,
    identity: tuple[str, str] | None = None,
) -> StageRun[object]:
    """A run of a stage on these inputs; its `identity` (fingerprint and run_id) is its own, or
    that of the run of which a process here does a share.
    """
    settings = stage.settings(config)
    fingerprint, run_id = identity or (fingerprint_of(config, stage, inputs), new_run_id())
    produced_by = ProducedBy(
        stage=stage.name,
        fingerprint=fingerprint,
        run_id=run_id,
        config=stage.what(config),
        inputs=inputs.identities(),
        code=code_hash(),
        privacy=dict(inputs.privacy),
    )
    outputs = Outputs(roots, stage.writes(config), produced_by)
    return StageRun(stage, config, settings, inputs, outputs, control or Control())


def new_run_id() -> str:
    """An id that sorts by time and that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
