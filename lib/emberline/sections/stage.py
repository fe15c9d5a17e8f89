"""A row of the table of stages: a stage's name, what it reads and writes, and where its code is.

Targets are strings, resolved when the stage runs: planning imports neither Spark nor TensorFlow.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from emberline.datasets.listing import RawFile
from emberline.extras import Extra

if TYPE_CHECKING:
    from emberline.sections.config import Config

EngineName = Literal["spark", "tensorflow", "python", "flow"]
Names = tuple[str, ...]


@dataclass(frozen=True)
class Sizes:
    """What a stage reads: how many `rows` a dataset has, by its name (0 where it is not there),
    how many bytes its raw files have as text, and these files.
    """

    rows: Callable[[str], int]
    raw_bytes: int = 0
    raw: Sequence[RawFile] = ()


@dataclass(frozen=True)
class Place:
    """A dataset of another pipeline's root, which a `setting` names."""

    setting: str
    root: str
    dataset: str


@dataclass(frozen=True)
class Stage:
    """One row of the table. `raw` names the files that the stage reads: outside the root, or of an
    artifact (`dataset:...`).

    `uses` are those settings of the section that decide its result: all of them, where it does not
    share the section with another stage. `elsewhere` is what it reads of other pipelines' roots, by
    the names of these inputs. `unasked` are those of its tables that nobody has asked
    for: they are written for their readers, without rows, and not told. `memory` is how many bytes
    a stage of the engine "flow", whose work is blocks, takes on so many cores. `on_spark` starts it
    on Spark's executors where its section says `launcher = "spark"`. `saves`: asked to stop, it
    saves first. `extra` is what it needs to be installed besides. `private` are those settings of
    [privacy] that decide its result, too.
    """

    name: str
    section: str
    engine: EngineName
    target: str
    reads: Callable[["Config"], Names]
    writes: Callable[["Config"], Names]
    raw: Callable[["Config"], Names] = lambda config: ()
    uses: Names | None = None
    elsewhere: Callable[["Config"], Mapping[str, Place]] = lambda config: {}
    unasked: Callable[["Config"], Names] = lambda config: ()
    memory: Callable[["Config", Sizes, int], int] = lambda config, sizes, cores: 0
    on_spark: str | None = None
    saves: bool = False
    extra: Callable[["Config"], Extra | None] = lambda config: None
    private: Names = ()

    @property
    def is_all_at_once(self) -> bool:
        """Whether all tasks of its Spark job have to run at the same time, which dynamic
        allocation cannot promise.
        """
        return self.target == self.on_spark

    def may_need_spark(self, config: "Config") -> bool:
        """Whether Spark may have to be started for it."""
        if self.engine == "flow":
            return config.spark.engine != "here"
        return self.engine == "spark"

    def needs_spark(self, config: "Config") -> bool:
        """Whether Spark has to be started for it, however little it reads."""
        if self.engine == "flow":
            asked = config.spark.engine
            return asked == "spark" or (asked == "auto" and not config.spark.is_local)
        return self.engine == "spark"

    def is_in(self, config: "Config") -> bool:
        """Whether it is part of the pipeline: its section is there, and it has what to write."""
        return self.settings(config) is not None and bool(self.writes(config))

    def settings(self, config: "Config") -> Any:
        """The stage's own section of the config."""
        return getattr(config, self.section)

    def what(self, config: "Config") -> dict[str, Any]:
        """The settings that decide the stage's result, as JSON-ready values."""
        every: dict[str, Any] = self.settings(config).what()
        if self.uses is None:
            return every
        return {name: every[name] for name in self.uses}

    @property
    def reads_ids(self) -> bool:
        """Whether outside ids pass it, some of which may be of people who were forgotten."""
        return "pseudonyms" in self.private

    def privacy(self, config: "Config") -> dict[str, Any]:
        """Those settings of [privacy] that decide the stage's result, where there are such."""
        return config.privacy.of_stage(self.private) if config.privacy else {}

    def placed(self, config: "Config") -> "Stage":
        """The row as this config has it run."""
        if self.on_spark and self.settings(config).team.launcher == "spark":
            return replace(self, engine="spark", target=self.on_spark)
        return self
