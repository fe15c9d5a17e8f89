"""A small log of people with tastes, and its pipeline, which studies are about."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from emberline import pipelines
from emberline.datasets import storage
from emberline.launch.stop import Stop
from emberline.tuning import design as designs
from emberline.tuning import tune as tuning
from emberline.tuning.design import Options
from emberline.tuning.outcome import Outcome
from emberline.tuning.trial import Trial
from emberline.tuning.tune import Bench

Tune = Callable[..., Outcome]
PIPELINE = """
[ratings]
path = "log.csv"
columns = { user_id = "user", item_id = "item" }
value = "one"
[split]
by = "fraction"
fraction = 0.3
[als]
rank = 2
iterations = 9
[recommend]
[evaluate]
[spark]
master = "local[2]"
"""


def write_pipeline(folder: Path) -> Path:
    """40 people, each of whom takes 12 of 30 items, most of them of one taste of three."""
    draw = random.Random(7)
    lines = ["user,item"]
    for user in range(40):
        weights = [5 if item % 3 == user % 3 else 1 for item in range(30)]
        taken = set(draw.choices(range(30), weights, k=16))
        lines += [f"u{user},i{item}" for item in sorted(taken)]
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    (folder / "small.toml").write_text(PIPELINE)
    return folder / "small.toml"


class Watching:
    """Sees trials end, and may interrupt after so many."""

    def __init__(self, most: int | None = None) -> None:
        self.seen: list[Trial] = []
        self._most = most

    def ended(self, trial: Trial, of: int) -> None:
        self.seen.append(trial)
        if len(self.seen) == self._most:
            raise KeyboardInterrupt


@pytest.fixture(scope="session")
def tune(tmp_path_factory: pytest.TempPathFactory) -> Tune:
    """`tune(folder, count, watching=None, **options)` tunes the small pipeline."""
    pipeline = write_pipeline(tmp_path_factory.mktemp("small"))

    def run(
        folder: Path, count: int, watching: Watching | None = None, **options: object
    ) -> Outcome:
        content = pipelines.content_of(pipeline)
        design = designs.design(content, "small.toml", Options(**options))  # type: ignore[arg-type]
        bench = Bench(storage.locate(str(folder)), content, stop=Stop())
        return tuning.tune(design, bench, count, watching or Watching())

    return run


@pytest.fixture(scope="session")
def study(tune: Tune, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome]:
    """The folder of a study of six trials, two at a time, and what it found."""
    folder = tmp_path_factory.mktemp("study")
    return folder, tune(folder, 6, parallel=2)
