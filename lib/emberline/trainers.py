"""How a stage runs in trainer processes: a team is given the stage's run, and what its chief
has written is taken over.
"""

import logging
from dataclasses import asdict, dataclass
from typing import Any

from emberline.datasets import storage, typed_json
from emberline.datasets.manifest import Manifest
from emberline.launch.cluster import Environment
from emberline.launch.supervise import supervise
from emberline.launch.team import Launcher, Limits, Work
from emberline.runs.stage_run import StageRun

WORKER = "emberline.cnn.worker"
# of TensorFlow's own lines, warnings and what is worse
LOG_LEVEL = ("TF_CPP_MIN_LOG_LEVEL", "2")
ENVIRONMENT: Environment = dict([LOG_LEVEL])


@dataclass(frozen=True)
class Given:
    """The root in which an input is, what it is called there, and of which run it is."""

    place: str
    dataset: str
    fingerprint: str
    run_id: str


@dataclass(frozen=True)
class Share:
    """What a process is asked for: a run of a stage, of inputs in the roots where they are."""

    stage: str
    config: str
    root: str
    inputs: dict[str, Given]
    fingerprint: str
    run_id: str
    verbosity: int


@dataclass(frozen=True)
class Answer:
    """What the chief answers: the manifests that it has added, and what its status says."""

    outputs: dict[str, dict[str, Any]]
    metrics: dict[str, Any]


def run_by(launcher: Launcher, run: StageRun[Any]) -> None:
    """Have a stage run by the launcher's team.

    Raises the error that the stage raised, Preempted where it was asked to stop, WorkerError where
    processes failed too often.
    """

    def clear() -> None:
        for name in run.outputs.promised:
            storage.remove_folder(run.outputs.folder(name))

    request, control = asdict(_share_of(run)), run.control
    work = Work(run.stage.name, request, control.progress, control.stopping, clear)
    answer = typed_json.build(Answer, supervise(launcher, work, _limits(run)), "answer")
    run.outputs.take(
        {name: Manifest.from_json(content) for name, content in answer.outputs.items()}
    )
    run.outputs.measure(**answer.metrics)


def _share_of(run: StageRun[Any]) -> Share:
    by = run.outputs.produced_by
    return Share(
        stage=run.stage.name,
        config=run.config.model_dump_json(exclude={"spark"}),
        root=str(run.outputs.root),
        inputs={
            name: Given(str(found.folder.parent), found.name, **found.manifest.identity())
            for name, found in run.inputs.items()
        },
        fingerprint=by.fingerprint,
        run_id=by.run_id,
        verbosity=logging.getLogger("emberline").getEffectiveLevel(),
    )


def _limits(run: StageRun[Any]) -> Limits:
    cnn = run.config.cnn
    assert cnn is not None, "the stages that run in trainer processes need a section [cnn]"
    return cnn.team.limits()
