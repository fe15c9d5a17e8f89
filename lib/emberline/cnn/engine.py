"""Where TensorFlow's stages run: all of a pipeline's in one child process, which starts with the first of them.

This side imports no TensorFlow: neither planning, nor Spark's driver, nor its workers pay for it.
"""

import logging
from types import TracebackType
from typing import Self

from emberline.config import Config
from emberline.datasets.manifest import Manifest
from emberline.errors import Preempted
from emberline.launch.child import Child, ChildKilledError, error_of
from emberline.runner import StageRun

_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}  # of TensorFlow's own lines, warnings and what is worse
WORKER = "emberline.cnn.worker"


class Engine:
    """Hands stages to the child process, shows its progress, and takes over what it has written."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def __enter__(self) -> Self:
        self._child = Child(WORKER, _QUIET)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._child.close()

    def call(self, run: StageRun) -> None:
        """Run one stage's function there. Raises the error that it raised, Preempted where the process was killed."""
        request = {
            "stage": run.stage.name,
            "config": run.config.model_dump_json(),
            "root": str(run.root),
            "fingerprint": run.fingerprint,
            "run_id": run.run_id,
            "verbosity": logging.getLogger("emberline").getEffectiveLevel(),
        }
        try:
            for message in self._child.ask(request):
                if "progress" in message:
                    run.progress(message["progress"])
                elif "error" in message:
                    raise error_of(message["error"])
                elif "outputs" in message:
                    run.outputs |= {name: Manifest.from_json(content) for name, content in message["outputs"].items()}
                    run.metrics |= message["metrics"]
        except ChildKilledError as error:
            raise Preempted(
                f"the TensorFlow process of {run.stage.name} {error} (signal 9 is often a lack of memory); "
                "run it again: training continues from its last checkpoint"
            ) from None
