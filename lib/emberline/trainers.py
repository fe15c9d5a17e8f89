"""How a stage runs in trainer processes: a team is given the stage's run, and what its chief
has written is taken over.
"""

import logging
from typing import Any

from emberline.datasets import storage
from emberline.datasets.manifest import Manifest
from emberline.launch.child import Message
from emberline.launch.cluster import Environment
from emberline.launch.supervise import supervise
from emberline.launch.team import Launcher, Limits, Work
from emberline.runs.stage_run import StageRun

WORKER = "emberline.cnn.worker"
# of TensorFlow's own lines, warnings and what is worse
ENVIRONMENT: Environment = {"TF_CPP_MIN_LOG_LEVEL": "2"}


def run_by(launcher: Launcher, run: StageRun[Any]) -> None:
    """Have a stage run by the launcher's team.

    Raises the error that the stage raised, Preempted where it was asked to stop, WorkerError where
    processes failed too often.
    """

    def pass_on(message: Message) -> None:
        if "progress" in message:
            run.control.progress(message["progress"])

    def clear() -> None:
        for name in run.outputs.promised:
            storage.remove_folder(run.outputs.folder(name))

    work = Work(run.stage.name, _request(run), pass_on, run.control.stopping, clear)
    answer = supervise(launcher, work, _limits(run))
    run.outputs.take(
        {name: Manifest.from_json(content) for name, content in answer["outputs"].items()}
    )
    run.outputs.measure(**answer["metrics"])


def _request(run: StageRun[Any]) -> Message:
    return {
        "stage": run.stage.name,
        "config": run.config.model_dump_json(exclude={"spark"}),
        "root": str(run.outputs.root),
        "inputs": {
            name: {"place": str(found.folder.parent), **found.manifest.identity()}
            for name, found in run.inputs.items()
        },
        "fingerprint": run.outputs.produced_by.fingerprint,
        "run_id": run.outputs.produced_by.run_id,
        "verbosity": logging.getLogger("emberline").getEffectiveLevel(),
    }


def _limits(run: StageRun[Any]) -> Limits:
    cnn = run.config.cnn
    assert cnn is not None, "the stages that run in trainer processes need a section [cnn]"
    return cnn.team.limits()
