"""What is noted in MLflow, by MLflow itself; and what of a server that does not answer."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from emberline.sections.tracking import TrackingConfig
from emberline.tracking import notes as noting
from emberline.tracking.notes import Notes


class Down:
    """A client of a server that does not answer."""

    def __init__(self) -> None:
        self.asked = 0

    def get_experiment_by_name(self, name: str) -> Any:
        self.asked += 1
        raise ConnectionError("no answer from http://mlflow:5000?token=hush\nTraceback ...")


def test_without_a_uri_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "_client", lambda uri: pytest.fail("asked"))
    notes = Notes(TrackingConfig(), "night", pytest.fail)
    notes.note({"als.rank": 8}, {"ndcg@10": 0.2}, {})
    notes.note_below("trial 1", {}, {})
    notes.end()


def test_a_server_that_does_not_answer_is_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    down, told = Down(), list[str]()
    monkeypatch.setattr(noting, "_client", lambda uri: down)
    notes = Notes(TrackingConfig(uri="http://mlflow:5000"), "night", told.append)
    notes.note({}, {}, {})
    notes.note_below("trial 1", {}, {})
    notes.end()
    assert down.asked == 1 and len(told) == 1
    assert told[0].startswith("nothing is noted in MLflow at http://mlflow:5000: no answer from")
    assert "Traceback" not in told[0]


def test_mlflow_that_is_not_installed_is_told_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent, told = SimpleNamespace(is_here=lambda: False, remedy="pip install it"), list[str]()
    monkeypatch.setattr(noting.extras, "MLFLOW", absent)
    Notes(TrackingConfig(uri="http://mlflow:5000"), "night", told.append).note({}, {}, {})
    assert told[0].endswith("MLflow is not installed: pip install it")


def test_credentials_in_the_uri_are_refused() -> None:
    with pytest.raises(
        ValidationError, match=r"does not hold credentials; MLflow reads"
    ) as refused:
        TrackingConfig(uri="https://me:hush@mlflow.example/api")
    assert "does not hold" in str(refused.value)


@pytest.mark.faults
def test_runs_and_trials_are_where_mlflow_finds_them(tmp_path: Path) -> None:
    uri = f"file://{tmp_path}/mlruns"
    notes = Notes(TrackingConfig(uri=uri, experiment="shop"), "night", pytest.fail)
    parameters = {f"a.{number}": number for number in range(150)} | {"text": "x" * 9000}
    notes.note(parameters, {"holdout/als/recall@10/min(k,n)": 0.25}, {"metrics.json": "{}"})
    notes.note_below("trial 1", {"als.rank": 8}, {"ndcg@10": 0.2}, failed=True)
    notes.end()
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name("shop").experiment_id])
    runs = {run.info.run_name: run for run in found}
    assert runs["night"].info.status == "FINISHED" and len(runs["night"].data.params) == 151
    assert runs["night"].data.metrics == {"holdout/als/recall_at_10/min_k_n_": 0.25}
    assert runs["trial 1"].data.tags["mlflow.parentRunId"] == runs["night"].info.run_id
    assert runs["trial 1"].info.status == "FAILED"
    assert [file.path for file in client.list_artifacts(runs["night"].info.run_id)] == [
        "metrics.json"
    ]
