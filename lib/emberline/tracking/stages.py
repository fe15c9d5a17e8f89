"""What is noted of a pipeline's stages: how they ended, and how good what they made is."""

from collections.abc import Iterator, Mapping
from typing import Any

from emberline.datasets import manifest as manifests
from emberline.datasets.measures import reports_in
from emberline.datasets.storage import Location
from emberline.runs.plan import Decision
from emberline.runs.runner import Listener, Outcome
from emberline.sections.config import Config
from emberline.tracking.notes import Notes

_FILES = {"metrics": "metrics.json", "report": "report.html"}


class Noting:
    """A listener that notes each stage that ran, and passes on what it hears."""

    def __init__(self, notes: Notes, config: Config, root: Location, listener: Listener) -> None:
        self._notes, self._config, self._root, self._listener = notes, config, root, listener

    def started(self, decision: Decision, position: int, total: int) -> None:
        self._listener.started(decision, position, total)

    def progressed(self, text: str) -> None:
        self._listener.progressed(text)

    def finished(self, outcome: Outcome, position: int, total: int) -> None:
        self._listener.finished(outcome, position, total)
        if outcome.action == "run":
            stage = outcome.stage
            settings = dict(_flat(stage.what(self._config), stage.section))
            self._notes.note(settings, dict(_measured(outcome)), dict(self._texts(outcome)))

    def _texts(self, outcome: Outcome) -> Iterator[tuple[str, str]]:
        """What people read of a stage's outputs."""
        for name, file in _FILES.items():
            if name in outcome.rows:
                for path in manifests.load(self._root, name).paths:
                    if path.name == file:
                        yield file, path.read_bytes().decode()


def _measured(outcome: Outcome) -> Iterator[tuple[str, float]]:
    yield f"{outcome.stage.name}/seconds", outcome.seconds
    if outcome.peak_bytes:
        yield f"{outcome.stage.name}/bytes of memory", float(outcome.peak_bytes)
    for name, rows in outcome.rows.items():
        yield f"{outcome.stage.name}/rows of {name}", float(rows)
    for name, report in reports_in(outcome.metrics.get("reports", {})).items():
        for row in report.metrics:
            yield f"{name}/{row.model}/{row.metric}", row.value


def _flat(settings: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        name = f"{above}.{key}"
        yield from _flat(value, name) if isinstance(value, dict) else ((name, value),)
