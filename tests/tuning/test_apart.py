"""Whether a trial is one task of a cluster: where it fits one, and executors can run it."""

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.tuning.conftest import write_pipeline

from emberline import pipelines
from emberline.datasets import storage
from emberline.datasets.measures import Measured
from emberline.errors import EmberlineError, TrainingError, WorkerError
from emberline.tuning import apart
from emberline.tuning import design as designs
from emberline.tuning.apart import Apart
from emberline.tuning.design import Options
from emberline.tuning.measuring import Measuring

ROW = Measured("als", "ndcg@10", 0.25, 0.01, users=9)
Asked = list[dict[str, Any]]


class Engines:
    """A session of Spark's that is none."""

    def get(self, name: str, config: Any, size: Any) -> Any:
        return SimpleNamespace(session="a session")


@pytest.fixture
def measuring(tmp_path: Path) -> Callable[..., Measuring]:
    pipeline = write_pipeline(tmp_path)

    def make(*settings: str) -> Measuring:
        content = pipelines.content_of(pipeline, settings)
        design = designs.design(content, "small.toml", Options())
        folder, varied = storage.locate(tmp_path / "study"), frozenset({"als"})
        shared: Any = Engines()
        return Measuring(folder, "small.toml", design.content, design.aim, varied, shared)

    return make


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Asked]:
    """`cluster(room, error)`: a cluster whose tasks have so many bytes, and which answers with a
    row, or an error; what it is asked.
    """

    def make(room: int, error: EmberlineError | None = None) -> Asked:
        asked: Asked = []

        def answer(session: str, module: str, request: dict[str, Any]) -> dict[str, Any]:
            asked.append(request)
            if error:
                raise error
            return ROW.to_json()

        found = {"emberline.spark.tasks:room": lambda session: (room, 1)}
        found["emberline.spark.tasks:answer"] = answer
        monkeypatch.setattr(apart, "resolve", found.get)
        return asked

    return make


def test_a_trial_that_fits_is_a_task_which_is_told_all_but_how_spark_runs(
    measuring: Callable[..., Measuring], cluster: Callable[..., Asked]
) -> None:
    asked = cluster(8 << 30)
    study = measuring("spark.master=spark://host:1", 'spark.conf={"a.password"="p"}')
    chosen = apart.chosen(study, ["ratings"])
    assert isinstance(chosen, Apart)
    assert chosen.measure({"als.rank": 3}, "trials/00001") == ROW
    look, trial = asked
    assert (look["name"], look["root"]) == ("ratings", "")
    assert (trial["parameters"], trial["root"]) == ({"als.rank": 3}, "trials/00001")
    assert "spark" not in trial["content"] and trial["content"]["als"]["iterations"] == 9


@pytest.mark.parametrize("settings", [(), ("spark.master=yarn", "spark.engine=spark")])
def test_on_one_machine_or_where_spark_is_asked_for_nothing_changes(
    settings: tuple[str, ...],
    measuring: Callable[..., Measuring],
    cluster: Callable[..., Asked],
) -> None:
    asked, study = cluster(8 << 30), measuring(*settings)
    assert apart.chosen(study, ["ratings"]) is study and not asked


@pytest.mark.parametrize(
    ("room", "error", "because"),
    [
        (64 << 20, None, r"train-als takes 0\.2 GiB, and a task has 0\.1 GiB of its executor"),
        (8 << 30, WorkerError("a process ended with exit code 1"), "ended with exit code 1"),
    ],
)
def test_else_trials_run_on_the_whole_cluster_and_it_is_said_why(
    room: int,
    error: EmberlineError | None,
    because: str,
    measuring: Callable[..., Measuring],
    cluster: Callable[..., Asked],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(apart.log, "propagate", True)
    monkeypatch.setattr(apart.log.parent, "propagate", True)
    cluster(room, error)
    study = measuring("spark.master=yarn")
    assert apart.chosen(study, ["ratings"]) is study
    assert re.search(because, caplog.messages[-1])


def test_what_ends_a_trial_ends_it_here(
    measuring: Callable[..., Measuring], cluster: Callable[..., Asked]
) -> None:
    cluster(8 << 30)
    chosen = apart.chosen(measuring("spark.master=yarn"), ["ratings"])
    cluster(8 << 30, TrainingError("the loss is not finite"))
    with pytest.raises(TrainingError, match="not finite"):
        chosen.measure({}, "trials/00002")
