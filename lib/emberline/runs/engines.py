"""What calls the functions of stages: who that is for which stage, and what it has to offer."""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Any, Literal, Protocol

from emberline import extras
from emberline.errors import ConfigError, EmberlineError
from emberline.launch import cgroups
from emberline.logs import event
from emberline.records import text
from emberline.runs.inputs import Inputs
from emberline.runs.package import resolve
from emberline.runs.roots import Roots
from emberline.runs.stage_run import StageRun
from emberline.sections.config import Config
from emberline.sections.stage import Sizes, Stage

log = logging.getLogger(__name__)
CODE = {
    "spark": "emberline.spark.session:SparkEngine",
    "tensorflow": "emberline.cnn.engine:TensorFlowEngine",
    "python": "emberline.runs.engines:PythonEngine",
    "here": "emberline.flow.engine:HereEngine",
}
Name = Literal["spark", "tensorflow", "python", "here"]


class Engine(AbstractContextManager["Engine"], Protocol):
    """What a framework's stages share; `call` runs one stage's function, here or in a process
    that has the framework.
    """

    def call(self, run: StageRun[Any]) -> None: ...

    def begin(self, settings: Any) -> None:
        """Start what a stage of these settings will need, and do not wait for it."""


class PythonEngine(nullcontext["PythonEngine"]):
    """Runs a stage's function as it is."""

    def __init__(self, config: Config, input_bytes: int) -> None:
        super().__init__(self)

    def call(self, run: StageRun[Any]) -> None:
        resolve(run.stage.target)(run)

    def begin(self, settings: Any) -> None:
        """Nothing: there is nothing to start."""


class Engines(AbstractContextManager["Engines"]):
    """Engines by name, each begun when it is first asked for, and ended with this: those of one
    run, or of several that follow each other or run on threads.

    A session of Spark's is for all threads; other engines are each thread's own.
    """

    def __init__(self) -> None:
        self._stack, self._lock = ExitStack(), threading.Lock()
        self._begun: dict[tuple[str, int], Engine] = {}

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def get(self, name: Name, config: Config, input_bytes: Callable[[], int]) -> Engine:
        """The engine, with what the first run that asks for it says."""
        key = (name, 0 if name == "spark" else threading.get_ident())
        with self._lock:
            if key not in self._begun:
                begun = resolve(CODE[name])(config, input_bytes())
                self._begun[key] = self._stack.enter_context(begun)
            return self._begun[key]


def choose(
    stage: Stage,
    config: Config,
    roots: Roots,
    inputs: Inputs,
    environment: Mapping[str, str] = os.environ,
) -> Name:
    """Who calls a stage. One whose work is blocks runs here, without Java, where Spark would run on
    this machine alone and what the stage takes fits `spark.driver_memory`; the pipeline file may
    say otherwise.
    """
    if stage.engine != "flow":
        return stage.engine
    if config.spark.engine != "auto":
        return config.spark.engine
    if "PYSPARK_GATEWAY_PORT" in environment or not config.spark.is_local:
        return "spark"
    raw = [file for path in stage.raw(config) for file in inputs.files(path)]
    # what is packed, as Parquet is, is some times as long
    raw_bytes = sum(text.unpacked_bytes(file.name, file.size) for file in raw)
    sizes = Sizes(lambda name: _rows(roots, name), raw_bytes, raw)
    needed = stage.memory(config, sizes, cores_of(config))
    memory = config.spark.memory
    chosen: Name = "here" if needed <= memory else "spark"
    told = {"stage": stage.name, "engine": chosen, "needed_bytes": needed, "memory_bytes": memory}
    log.info(event("engine_chosen", **told))
    return chosen


def needed(stage: Stage, config: Config, roots: Roots, cores: int) -> int:
    """Bytes that a stage without raw files takes at most on so many cores of one machine, by what
    is there of what it reads.
    """
    return stage.memory(config, Sizes(lambda name: _rows(roots, name)), cores)


def check_installed(engine: Name, stage: str) -> None:
    """Raises ConfigError where a stage is to run on Spark, which is not installed."""
    if engine == "spark" and not extras.SPARK.is_here():
        raise ConfigError(
            f"{stage} would run on Spark, which is not installed: {extras.SPARK.remedy}, or, where"
            ' it can run without, set spark.engine = "here"'
        )


def begin_next(
    engine: Callable[[Name], Engine], config: Config, stage: Stage, following: Sequence[Stage]
) -> None:
    """Start TensorFlow beside a stage on which one of its stages hangs: that one will run, then.
    Where Spark is at work, which may take hours, it starts beside the stage just before.
    """
    is_soon = stage.engine in ("flow", "python") and config.spark.is_local
    changed = set(stage.writes(config))
    for coming in following if is_soon else following[:1]:
        if changed & {*coming.reads(config)}:
            if coming.engine == "tensorflow":
                return engine("tensorflow").begin(coming.settings(config))
            changed |= {*coming.writes(config)}


def cores_of(config: Config) -> int:
    """How many cores work on blocks here: as many as a local Spark would use."""
    return config.spark.cores or cgroups.usable_cores(cgroups.read_limits().cores)


def _rows(roots: Roots, name: str) -> int:
    """Of a dataset; 0 where it is not there, or damaged, which whoever reads it will say."""
    with suppress(EmberlineError):
        if dataset := roots.load(name):
            return dataset.rows
    return 0
