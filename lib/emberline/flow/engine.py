"""What calls stages whose work is blocks on this machine's cores."""

from contextlib import nullcontext
from typing import Any

from emberline.errors import ConfigError
from emberline.flow.here import Here
from emberline.runs.engines import cores_of
from emberline.runs.package import resolve
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config


class HereEngine(nullcontext["HereEngine"]):
    """Starts threads for each stage, as many as `spark.master` says."""

    def __init__(self, config: Config, input_bytes: int) -> None:
        super().__init__(self)
        self._memory, self._cores = config.spark.memory, cores_of(config)

    def begin(self, settings: Any) -> None:
        """Nothing: threads start at once."""

    def call(self, run: StageRun[Any]) -> None:
        """Run one stage's function. Raises ConfigError where memory does not suffice."""
        try:
            with Here(self._memory, self._cores) as flow:
                resolve(run.stage.target)(run, flow)
        except MemoryError as error:
            raise ConfigError(
                f"{run.stage.name} needs more memory than this machine has left ({error}): set"
                ' spark.engine = "spark", whose blocks may lie on disk'
            ) from error
