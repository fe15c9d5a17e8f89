"""An engine and stages that record what happens to them, found by their names as real ones are."""

from contextlib import nullcontext
from typing import Any

from emberline.datasets.parts import write_file
from emberline.runs.package import resolve
from emberline.runs.stage_run import StageRun

EVENTS: list[str] = []


class Recorder(nullcontext["Recorder"]):
    def __init__(self, config: Any, input_bytes: int) -> None:
        super().__init__(self)

    def begin(self, settings: Any) -> None:
        EVENTS.append("begins")

    def call(self, run: StageRun[Any]) -> None:
        resolve(run.stage.target)(run)


def stage(run: StageRun[Any]) -> None:
    """Write an empty file as each output."""
    EVENTS.append(run.stage.name)
    for name in run.outputs.promised:
        run.outputs.add(name, [write_file(b"", run.outputs.folder(name), "file")])
