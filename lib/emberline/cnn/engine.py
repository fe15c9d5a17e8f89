"""Where TensorFlow's stages run: all of a pipeline's in one child process, which starts with the
first of them, or in several.

This side imports no TensorFlow: neither planning, nor Spark's driver, nor its workers pay for it.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emberline import trainers
from emberline.launch.local import Local
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config


class TensorFlowEngine:
    """Hands stages to the child process; a stage with several workers gets as many of its own."""

    def __init__(self, config: Config, input_bytes: int) -> None:
        self._shared = Local(trainers.WORKER, environment=trainers.ENVIRONMENT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shared.kill()

    def call(self, run: StageRun[Any]) -> None:
        """Run one stage's function there. Raises the error that it raised, WorkerError where
        its processes failed too often.
        """
        team = getattr(run.settings, "team", None)
        workers = team.workers if team else 1
        if workers == 1:
            trainers.run_by(self._shared, run)
            return
        # what is here is read and written without any network
        places = [run.outputs.root, *(dataset.folder for dataset in run.inputs.values())]
        is_apart = all(isinstance(place, Path) for place in places)
        with Local(trainers.WORKER, workers, trainers.ENVIRONMENT, is_apart=is_apart) as team:
            trainers.run_by(team, run)
