"""Runs of MLflow's, which whoever is at work writes parameters, metrics and texts into.

Nobody waits for it long, and nothing fails with it: what goes wrong there is told once, as a
warning, and nothing is noted any more.
"""

import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from emberline import extras
from emberline.logs import public
from emberline.sections.tracking import TrackingConfig

_BATCH = 100  # parameters, and metrics, that a request may have
_LONGEST = 6000  # characters of a parameter
_FORBIDDEN = re.compile(r"[^\w\-. /]")
# a server that does not answer costs a run seconds, and not the minutes of MLflow's retries; and
# who names a folder wants one
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ALLOW_FILE_STORE": "true",
}
Item = TypeVar("Item")
Texts = Mapping[str, str]


class Notes:
    """One run of MLflow's, begun when there is something to note, and those below it."""

    def __init__(self, settings: TrackingConfig, name: str, warn: Callable[[str], None]) -> None:
        self._settings, self._name, self._warn = settings, name, warn
        self._client: Any = None
        self._experiment, self._run = "", ""
        self._is_over = settings.uri is None

    def note(
        self, parameters: Mapping[str, Any], metrics: Mapping[str, float], texts: Texts
    ) -> None:
        """Note in this run; `texts` become its files."""
        self._try(lambda: self._write(self._begun(), parameters, metrics, texts))

    def note_below(
        self,
        name: str,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, float],
        failed: bool = False,
    ) -> None:
        """Note in a run of its own below this one."""
        self._try(partial(self._note_below, name, parameters, metrics, failed))

    def end(self, failed: bool = False) -> None:
        """Nothing more comes."""
        if self._run:
            self._try(lambda: self._client.set_terminated(self._run, _state(failed)))

    def _try(self, act: Callable[[], None]) -> None:
        """Whatever goes wrong in MLflow, or on the way to it, is no error of the run's."""
        if self._is_over:
            return
        try:
            act()
        except Exception as error:
            self._is_over = True
            told = public(f"{error}".partition("\n")[0])
            self._warn(f"nothing is noted in MLflow at {public(str(self._settings.uri))}: {told}")

    def _begun(self) -> str:
        """The run's id."""
        if not self._run:
            self._client = _client(str(self._settings.uri))
            name = self._settings.experiment
            known = self._client.get_experiment_by_name(name)
            self._experiment = (
                known.experiment_id if known else self._client.create_experiment(name)
            )
            made = self._client.create_run(self._experiment, run_name=self._name)
            self._run = made.info.run_id
        return self._run

    def _note_below(
        self, name: str, parameters: Mapping[str, Any], metrics: Mapping[str, float], failed: bool
    ) -> None:
        tags = {"mlflow.parentRunId": self._begun()}
        run = self._client.create_run(self._experiment, tags=tags, run_name=name).info.run_id
        self._write(run, parameters, metrics, {})
        self._client.set_terminated(run, _state(failed))

    def _write(
        self, run: str, parameters: Mapping[str, Any], metrics: Mapping[str, float], texts: Texts
    ) -> None:
        from mlflow.entities import Metric, Param

        now = int(time.time() * 1000)
        values = [Metric(_named(name), value, now, 0) for name, value in metrics.items()]
        settings = [
            Param(_named(name), public(str(value))[:_LONGEST]) for name, value in parameters.items()
        ]
        for params in _portions(settings):
            self._client.log_batch(run, params=params)
        for measured in _portions(values):
            self._client.log_batch(run, metrics=measured)
        for name, text in texts.items():
            self._client.log_text(run, text, name)


def _client(uri: str) -> Any:
    if not extras.MLFLOW.is_here():
        raise ModuleNotFoundError(f"MLflow is not installed: {extras.MLFLOW.remedy}")
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=uri)


def _named(name: str) -> str:
    """A name that MLflow takes: ndcg@10 is ndcg_at_10."""
    return _FORBIDDEN.sub("_", name.replace("@", "_at_"))


def _portions(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + _BATCH] for first in range(0, len(items), _BATCH))


def _state(failed: bool) -> str:
    return "FAILED" if failed else "FINISHED"
