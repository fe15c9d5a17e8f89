"""The pipelines that ship, on the real data that they are made for, by the command that the README gives."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emberline.datasets import manifest as manifests

PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"
Values = dict[tuple[str, str], float]

pytestmark = pytest.mark.faults


def metrics(root: Path) -> Values:
    (path,) = manifests.load(root, "metrics").paths
    rows: list[dict[str, Any]] = json.loads(path.read_text())["reports"]["holdout"]["metrics"]
    return {(row["subject"], row["metric"]): row["value"] for row in rows}


@pytest.fixture
def measured(command: Callable[..., Any], shared_data: Path, root: Path) -> Callable[[str, str], Values]:
    """Runs a pipeline, runs it again to see that nothing is done, and returns what `evaluate` measured."""

    def run_twice(name: str, data: str) -> Values:
        arguments = ["run", PIPELINES / f"{name}.toml", "--root", root, "--set", f"ratings.path={shared_data / data}"]
        first = command(*arguments)
        assert first.returncode == 0, first.stderr
        began = time.monotonic()
        second = command(*arguments)
        assert time.monotonic() - began < 10
        assert second.returncode == 0, second.stderr
        assert "Nothing to do: all 5 stages are up to date." in second.stdout
        return metrics(root)

    return run_twice


def test_movielens_ratings_are_predicted_better_than_by_means(measured: Callable[[str, str], Values]) -> None:
    found = measured("movielens", "movielens-latest-small/ratings.csv")
    assert found["als", "rmse"] < found["user-mean", "rmse"]
    assert found["als", "rmse"] < found["item-mean", "rmse"] < found["global-mean", "rmse"]
    assert found["item-neighbors", "ndcg@10"] > found["most-popular", "ndcg@10"] > found["random", "ndcg@10"]


def test_retail_recommendations_are_better_than_the_most_popular(measured: Callable[[str, str], Values]) -> None:
    found = measured("retail", "online-retail")
    assert found["als", "ndcg@10"] > found["most-popular", "ndcg@10"] > found["random", "ndcg@10"]
