"""The commands that run a pipeline, its stages, and what follows them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emberline.errors import ConfigError
from emberline.schedule.programs import Command, Programs
from emberline.sections.stage import Stage


@dataclass(frozen=True)
class Commands:
    """How the pipeline file `pipeline` is run in `folder`, with the options `--root`, `--base` and
    `--set` as they were given.
    """

    programs: Programs
    folder: Path
    pipeline: str
    root: str | None
    base: str | None
    overrides: Sequence[str]

    @property
    def run(self) -> Command:
        """All stages."""
        return (*self.programs.emberline, "run", self.pipeline, *self._options)

    @property
    def publish(self) -> Command:
        """What its section [publish] says."""
        place = (self.root,) if self.root else ()
        return (
            *self.programs.emberline,
            "publish",
            *place,
            "--config",
            self.pipeline,
            *self._settings,
        )

    def stage(self, stage: Stage) -> Command:
        """This stage alone. Raises ConfigError where there is no script to submit."""
        if self.programs.submit is None or stage.engine not in ("spark", "flow"):
            return (*self.run, "--only", stage.name)
        script = self.folder / "jobs" / f"{stage.name.replace('-', '_')}.py"
        if not script.is_file():
            raise ConfigError(
                f"--submit runs {script}, which is not there; schedule in the folder that holds"
                " jobs/"
            )
        fixed = ("--conf", "spark.dynamicAllocation.enabled=false") if stage.is_all_at_once else ()
        return (
            *self.programs.submit,
            *fixed,
            str(script),
            "--config",
            self.pipeline,
            *self._options,
        )

    @property
    def _options(self) -> Command:
        places = (("--root", self.root), ("--base", self.base))
        given = tuple(word for option, place in places if place for word in (option, place))
        return (*given, *self._settings)

    @property
    def _settings(self) -> Command:
        return tuple(word for override in self.overrides for word in ("--set", override))
