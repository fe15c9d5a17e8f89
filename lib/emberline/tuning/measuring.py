"""One pipeline run as far as a metric needs it, in a small root over the study's base."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests
from emberline.datasets.measures import Measured, reports_of
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.launch.stop import Stop
from emberline.runs import runner
from emberline.runs.engines import Engines
from emberline.runs.roots import Roots
from emberline.runs.runner import Listener
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.tuning.aim import Aim

BASE = "base"
_LAST = "evaluate"


@dataclass(frozen=True)
class Measuring:
    """How pipelines are measured in a study: its `folder`, the `content` of the reduced pipeline
    file `name`, what is `varied`, and who works.
    """

    folder: Location
    name: str
    content: Mapping[str, Any]
    aim: Aim
    varied: frozenset[str]
    engines: Engines
    stop: Stop | None = None

    def config(self, parameters: Mapping[str, Any], root: str, base: bool = True) -> Config:
        """The pipeline with other settings, in a root of the study's folder."""
        content = reduce(pipelines.with_setting, parameters.items(), dict(self.content))
        places = {"root": str(self.folder / root)}
        places |= {"base": str(self.folder / BASE)} if base else {}
        content.pop("base", None)
        return pipelines.config_of({**content, **places}, self.name)

    def prepare(self, listener: Listener | None = None) -> dict[str, str]:
        """Run into the base what is the same for all trials; the fingerprints of what is there."""
        config = self.config({}, BASE, base=False)
        shared = [
            one for one in stages.needed_for(config, _LAST) if one.name not in self._varying(config)
        ]
        self._run(config, BASE, shared, listener)
        names = [name for stage in shared for name in stage.writes(config)]
        return {name: self._fingerprint(name) for name in names}

    def _fingerprint(self, name: str) -> str:
        return manifests.load(self.folder / BASE, name).manifest.produced_by.fingerprint

    def measure(
        self, parameters: Mapping[str, Any], root: str, listener: Listener | None = None
    ) -> Measured:
        """Run what the base does not have, and say what came of it. Raises ConfigError where the
        metric is not measured.
        """
        config = self.config(parameters, root)
        self._run(config, root, self.own_stages(config), listener)
        return self.measured(config, root)

    def own_stages(self, config: Config) -> list[Stage]:
        """Those that are not the same in all trials, in their order."""
        varying = self._varying(config)
        return [one for one in stages.needed_for(config, _LAST) if one.name in varying]

    def measured(self, config: Config, root: str) -> Measured:
        """The row of metrics.json that the study is about."""
        metrics = Roots.of(config, self.folder / root).load("metrics")
        report = reports_of(metrics)[self.aim.report] if metrics else None
        rows = [row for row in report.metrics if row.model == self.aim.model] if report else []
        for row in rows:
            if row.metric == self.aim.metric:
                return row
        raise ConfigError(
            f"{self.aim.metric} of {self.aim.model} is not measured; what is:"
            f" {', '.join(row.metric for row in rows) or 'nothing'}"
        )

    def with_sections(self, sections: Mapping[str, Any]) -> "Measuring":
        """The same with other sections, which are then run in each root."""
        content = {**self.content, **sections}
        return replace(self, content=content, varied=self.varied | {*sections})

    def _run(
        self, config: Config, root: str, chosen: Sequence[Stage], listener: Listener | None
    ) -> None:
        runner.run(
            config, self.folder / root, chosen, listener, stop=self.stop, shared=self.engines
        )

    def _varying(self, config: Config) -> set[str]:
        """The names of the stages that are not the same in all trials."""
        chosen = stages.needed_for(config, _LAST)
        return {_LAST, *stages.varying(config, chosen, self.varied)}
