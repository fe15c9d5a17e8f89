"""Trials that are each one task of Spark's, where the data fit one executor: what a trial takes is
then its own work, and not that of scheduling hundreds of small tasks.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from emberline.datasets.measures import Measured
from emberline.errors import ManifestError, WorkerError
from emberline.launch.memory import gib
from emberline.logs import event
from emberline.runs import engines
from emberline.runs.package import resolve
from emberline.runs.roots import Roots
from emberline.runs.runner import Listener
from emberline.sections.config import Config
from emberline.tuning.measuring import BASE, Measuring

log = logging.getLogger(__name__)
_WORKER = "emberline.tuning.worker"
_ANSWER, _ROOM = "emberline.spark.tasks:answer", "emberline.spark.tasks:room"


@dataclass(frozen=True)
class Apart(Measuring):
    """As Measuring, but that a pipeline is run by a task of a `session` of Spark's."""

    session: Any = None

    def measure(
        self, parameters: Mapping[str, Any], root: str, listener: Listener | None = None
    ) -> Measured:
        """Raises what the trial raised, WorkerError where its task is lost."""
        return Measured.from_json(self._asked(parameters, root, self.name))

    def look(self, name: str) -> None:
        """Raises WorkerError where executors cannot run trials, ManifestError where they do not see
        a dataset of the study's base.
        """
        self._asked({}, "", name)

    def _asked(self, parameters: Mapping[str, Any], root: str, name: str) -> dict[str, Any]:
        content = {key: value for key, value in self.content.items() if key != "spark"}
        request = {
            "folder": str(self.folder),
            "name": name,
            "content": content,
            "aim": asdict(self.aim),
            "varied": sorted(self.varied),
            "parameters": dict(parameters),
            "root": root,
        }
        found: dict[str, Any] = resolve(_ANSWER)(self.session, _WORKER, request)
        return found


def chosen(measuring: Measuring, prepared: Sequence[str]) -> Measuring:
    """How trials are measured, once the base has what is `prepared`: by a task each on a cluster,
    if they fit one; else by all of it, stage by stage.
    """
    config = measuring.config({}, "trials")
    if config.spark.is_local or config.spark.engine != "auto" or not prepared:
        return measuring
    session = measuring.engines.get("spark", config, lambda: 0).session  # type: ignore[attr-defined]
    own = {one.name: getattr(measuring, one.name) for one in fields(Measuring)}
    apart = Apart(**own, session=session)
    why = _too_large(apart, config) or _unseen(apart, prepared[0])
    if why is None:
        log.info(event("trials_are_tasks"))
        return apart
    log.warning(event("trials_on_the_whole_cluster", because=why))
    return measuring


def _too_large(apart: Apart, config: Config) -> str | None:
    """Why a trial does not fit a task, if it does not."""
    room, cores = resolve(_ROOM)(apart.session)
    roots = Roots(apart.folder / "trials", apart.folder / BASE)
    for stage in apart.own_stages(config):
        if stage.engine not in ("flow", "python"):
            return f"{stage.name} does not run on blocks"
        needed = engines.needed(stage, config, roots, cores)
        if needed > room:
            return f"{stage.name} takes {gib(needed)}, and a task has {gib(room)} of its executor"
    return None


def _unseen(apart: Apart, name: str) -> str | None:
    """Why executors cannot run it, if they cannot."""
    try:
        apart.look(name)
    except (WorkerError, ManifestError) as error:
        return str(error)
    return None
