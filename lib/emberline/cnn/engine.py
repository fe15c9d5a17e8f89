"""Where TensorFlow's stages run: all of a pipeline's in one child process, which starts beside the
stage before the first of them, or in several.

This side imports no TensorFlow: neither planning, nor Spark's driver, nor its workers pay for it.
"""

from pathlib import Path
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

    def __exit__(self, *error: object) -> None:
        self._shared.kill()

    def begin(self, settings: Any) -> None:
        """Start the child process, which takes seconds to import TensorFlow."""
        if _workers(settings) == 1:
            self._shared.start()

    def call(self, run: StageRun[Any]) -> None:
        """Run one stage's function there. Raises the error that it raised, WorkerError where
        its processes failed too often.
        """
        workers = _workers(run.settings)
        if workers == 1:
            trainers.run_by(self._shared, run)
            return
        # what is here is read and written without any network
        places = [run.outputs.root, *(dataset.folder for dataset in run.inputs.values())]
        is_apart = all(isinstance(place, Path) for place in places)
        with Local(trainers.WORKER, workers, trainers.ENVIRONMENT, is_apart=is_apart) as team:
            trainers.run_by(team, run)


def _workers(settings: Any) -> int:
    """In how many processes a stage of these settings runs."""
    team = getattr(settings, "team", None)
    return team.workers if team else 1
