"""The pipelines that ship, on the real data that they are made for, by the command that the
README gives.
"""

import json
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from emberline import pipelines, stages
from emberline.datasets import manifest as manifests

PIPELINES = Path(__file__).parents[2] / "jobs" / "pipelines"
Read = Callable[[str], pa.Table]
Values = dict[tuple[str, str], float]

pytestmark = pytest.mark.faults


FLOWERS = """
[images]
path = "{path}"
labels = "folder"
height = 64
width = 64

[shards]
task = "class"
test = 0.25

[cnn]
epochs = 10

[cnn.input]
global_batch_size = 16
flip = true

[predict]

[evaluate]
"""


def metrics(root: Path, report: str) -> Values:
    (path,) = manifests.load(root, "metrics").paths
    rows: list[dict[str, Any]] = json.loads(path.read_text())["reports"][report]["metrics"]
    return {(row["model"], row["metric"]): row["value"] for row in rows}


def processor_seconds() -> float:
    """Of all commands so far: a machine that has much else to do takes longer, not more of them."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def measured(
    command: Callable[..., Any], shared_data: Path, root: Path
) -> Callable[[str, str], Values]:
    """Runs a pipeline, runs it again to see that nothing is done, and returns what `evaluate`
    measured.
    """

    def run_twice(name: str, data: str) -> Values:
        arguments = [
            "run",
            PIPELINES / f"{name}.toml",
            "--root",
            root,
            "--set",
            f"ratings.path={shared_data / data}",
        ]
        first = command(*arguments)
        assert first.returncode == 0, first.stderr
        before = processor_seconds()
        second = command(*arguments)
        assert processor_seconds() - before < 5
        assert second.returncode == 0, second.stderr
        count = len(stages.in_pipeline(pipelines.load(PIPELINES / f"{name}.toml")))
        assert f"Nothing to do: all {count} stages are up to date." in second.stdout
        return metrics(root, "holdout")

    return run_twice


def test_movielens_ratings_are_predicted_better_than_by_means(
    measured: Callable[[str, str], Values],
) -> None:
    found = measured("movielens", "movielens-latest-small/ratings.csv")
    assert found["als", "rmse"] < found["user-mean", "rmse"]
    assert found["als", "rmse"] < found["item-mean", "rmse"] < found["global-mean", "rmse"]
    assert found["als", "ndcg@10"] > found["most-popular", "ndcg@10"] > found["random", "ndcg@10"]


def test_retail_recommendations_are_better_than_the_most_popular(
    measured: Callable[[str, str], Values],
) -> None:
    found = measured("retail", "online-retail")
    assert found["als", "ndcg@10"] > found["most-popular", "ndcg@10"] > found["random", "ndcg@10"]


@pytest.fixture(scope="module")
def clothes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root that both models share: pictures and shards are the same, and are made once."""
    return tmp_path_factory.mktemp("clothes")


@pytest.mark.parametrize(
    ("model", "epochs", "expected"), [("cifar", 5, 0.89), ("resnet", 10, 0.92)]
)
def test_clothes_are_recognised(
    command: Callable[..., Any],
    shared_data: Path,
    clothes: Path,
    model: str,
    epochs: int,
    expected: float,
) -> None:
    """A plain Keras `fit` of the classic net reaches .895 after 5 epochs."""
    settings = {
        "images.path": shared_data / "fashion-mnist",
        "cnn.model": model,
        "cnn.epochs": epochs,
    }
    overrides = [
        argument for name, value in settings.items() for argument in ("--set", f"{name}={value}")
    ]
    done = command(
        "run", PIPELINES / "fashion-mnist.toml", "--root", clothes, *overrides, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    found = metrics(clothes, "classes")
    assert found["cnn", "accuracy"] >= expected
    assert found["forest", "accuracy"] >= found["cnn", "accuracy"] - 0.02


def test_two_kinds_of_flowers_are_told_apart(
    command: Callable[..., Any], shared_data: Path, root: Path, read: Read, tmp_path: Path
) -> None:
    (tmp_path / "flowers.toml").write_text(FLOWERS.format(path=shared_data / "flower-photos"))
    done = command("run", "flowers.toml", "--root", root)
    assert done.returncode == 0, done.stderr
    assert manifests.load(root, "images").rows == 298
    assert read("rejected_images")["source_file"].to_pylist() == ["LICENSE.txt"]
    found = metrics(root, "classes")
    assert found["cnn", "accuracy"] > found["most-frequent", "accuracy"] + 0.1


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root of spoken digits, which are transformed once."""
    return tmp_path_factory.mktemp("digits")


SPEAKER = ["shards.group.pattern=_(speaker[0-9]+)_", 'shards.group.test=["speaker2"]']


@pytest.mark.parametrize(("settings", "expected"), [([], 0.97), (SPEAKER, 0.8)])
def test_spoken_digits_are_heard_of_known_speakers_and_of_one_that_nobody_has_heard(
    command: Callable[..., Any],
    shared_data: Path,
    digits: Path,
    settings: list[str],
    expected: float,
) -> None:
    given = [f"sounds.path={shared_data / 'spoken-digits' / '*.wav'}", *settings]
    overrides = [argument for one in given for argument in ("--set", one)]
    done = command(
        "run", PIPELINES / "spoken-digits.toml", "--root", digits, *overrides, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    found = metrics(digits, "classes")
    assert found["cnn", "accuracy"] >= expected
    if not settings:
        assert found["forest", "accuracy"] >= found["cnn", "accuracy"] - 0.02
