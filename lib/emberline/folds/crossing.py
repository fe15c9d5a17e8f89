"""A pipeline run on each fold, over one base that is prepared once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from emberline import pipelines, stages
from emberline.datasets import lock, storage
from emberline.datasets.measures import Report, reports_of
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.folds import ways
from emberline.folds.result import Result, result, write
from emberline.folds.ways import Of
from emberline.launch.stop import Stop
from emberline.runs import runner
from emberline.runs.engines import Engines
from emberline.runs.roots import Roots
from emberline.runs.runner import Listener

BASE = "base"
_LAST, _CUT = "evaluate", {"pictures": "shards"}


@dataclass(frozen=True)
class Folds:
    """Into how many folds of what the data of a pipeline file `name` are cut, and how many `days` a
    fold in time has.
    """

    name: str
    content: Mapping[str, Any]
    count: int
    of: Of
    days: float | None = None

    def content_of(self, fold: int) -> dict[str, Any]:
        """The pipeline whose holdout is this fold."""
        config = pipelines.config_of(dict(self.content), self.name)
        if config.evaluate is None:
            raise ConfigError("the pipeline has no section [evaluate], whose metrics folds have")
        return ways.in_fold(self.content, config, self.of, self.count, fold, self.days)

    @property
    def cut(self) -> frozenset[str]:
        """The section that says what a fold is."""
        return frozenset({_CUT.get(self.of, "split")})


def cross(
    folds: Folds, folder: Location, listener: Listener | None = None, stop: Stop | None = None
) -> Result:
    """Run each fold in a root of the folder, and write what came of all of them. What is up to date
    there is not run again. Raises ConfigError, before anything runs, where a fold cannot be.
    """
    contents = [folds.content_of(fold) for fold in range(1, folds.count + 1)]
    for content in contents:
        pipelines.config_of(content, folds.name)
    with lock.hold(folder), Engines() as engines:
        base = {**contents[0], "root": str(folder / BASE)}
        _run(folds, base, is_base=True, engines=engines, listener=listener, stop=stop)
        reports = []
        for fold, content in enumerate(contents, start=1):
            own = {**content, "root": str(folder / f"fold-{fold}"), "base": str(folder / BASE)}
            _run(folds, own, is_base=False, engines=engines, listener=listener, stop=stop)
            reports.append(_reports(folds, own, folder / f"fold-{fold}"))
        found = result(folds.name, folds.of, reports)
        write(folder, found)
    return found


def _run(
    folds: Folds,
    content: dict[str, Any],
    is_base: bool,
    engines: Engines,
    listener: Listener | None,
    stop: Stop | None,
) -> None:
    """What all folds have in common, or what is a fold's own."""
    config = pipelines.config_of(content, folds.name)
    needed = stages.needed_for(config, _LAST)
    own = {_LAST, *stages.varying(config, needed, folds.cut)}
    chosen = [stage for stage in needed if (stage.name in own) != is_base]
    runner.run(config, storage.locate(config.root), chosen, listener, stop=stop, shared=engines)


def _reports(folds: Folds, content: dict[str, Any], root: Location) -> dict[str, Report]:
    metrics = Roots.of(pipelines.config_of(content, folds.name), root).load("metrics")
    return reports_of(metrics) if metrics else {}
