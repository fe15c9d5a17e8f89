"""Five folds over one base: what cross-validation costs beside its fits.

Interactions are prepared once, into a base. Each fold is a small root over it: split-ratings,
train-als, recommend-holdout and evaluate. Beside these five runs, the five fits alone (train-als of
the same roots, again), and the five runs each of which prepares for itself. All are in one session,
whose start none of them pays.
"""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import data
import harness
import shapes
from harness import Subject

from emberline.datasets import storage
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.sections.stage import Stage
from emberline.stages import STAGES

FOLDS = 5
PREPARE = ("prepare-ratings",)
RUN = ("split-ratings", "train-als", "recommend-holdout", "evaluate")
FIT = ("train-als",)
LARGE = {"a million stars": shapes.Shape(6000, 3700, 100, shapes.SHAPES["stars"].values)}
COLUMNS = {"user_id": "user", "item_id": "item", "value": "value"}
MOVIELENS = data.REAL_DATA / "movielens-latest-small" / "ratings.csv"


def sections(path: Path, columns: dict[str, str]) -> dict[str, object]:
    """A pipeline of stars whose folds are measured as by the defaults."""
    return {
        "ratings": {"path": str(path), "columns": columns, "value": "rating", "max_value": 5.0},
        "als": {},
        "recommend": {},
        "evaluate": {"relevant_from": 4.0},
    }


def fold(pipeline: dict[str, object], base: Path | None, number: int) -> Config:
    """The pipeline with so many folds, of which this one is withheld."""
    split = {"split": {"by": "folds", "folds": FOLDS, "fold": number}}
    return Config.model_validate(pipeline | split | ({"base": str(base)} if base else {}))


def run_folds(
    pipeline: dict[str, object], base: Path | None, roots: Path, names: Sequence[str]
) -> None:
    """Some stages of each fold, whether or not they are up to date."""
    for number in range(1, FOLDS + 1):
        config = fold(pipeline, base, number)
        root = storage.locate(str(roots / f"fold-{number}"))
        runner.run(config, root, stages_called(names), force=True)


def stages_called(names: Sequence[str]) -> list[Stage]:
    """Rows of the table of stages."""
    return [stage for stage in STAGES if stage.name in names]


def subjects(pipeline: dict[str, object], place: Path) -> list[Subject]:
    """The runs over one base, and what they are compared with."""
    base, small, whole = place / "base", place / "small", place / "whole"
    prepared = fold(pipeline, None, 1)
    runner.run(prepared, storage.locate(str(base)), stages_called(PREPARE))
    runs = {
        "five runs over one base": partial(run_folds, pipeline, base, small, RUN),
        "their five fits": partial(run_folds, pipeline, base, small, FIT),
        "five whole runs": partial(run_folds, pipeline, None, whole, (*PREPARE, *RUN)),
    }
    return [Subject(name, run) for name, run in runs.items()]


def generated(name: str, shape: shapes.Shape, folder: Path) -> dict[str, object]:
    """A pipeline of made-up stars."""
    shapes.SHAPES.setdefault(name, shape)
    return sections(Path(shapes.write(name, folder)), COLUMNS)


def main() -> None:
    """Measure each dataset."""
    options = harness.options(__doc__)
    with (
        harness.spark(options),
        harness.report(options) as report,
        TemporaryDirectory(prefix="emberline-bench-") as place,
    ):
        warm = generated("few-stars", shapes.SHAPES["few-stars"], Path(place))
        quick = {"few stars": warm}
        real = {"user_id": "userId", "item_id": "movieId", "value": "rating"}
        cases = quick if options.quick else {"movielens": sections(MOVIELENS, real)}
        if not options.quick:
            cases |= {name: generated(name, shape, Path(place)) for name, shape in LARGE.items()}
        report.unseen().compare("folds", subjects(warm, Path(place) / "warm"))
        for name, pipeline in cases.items():
            if report.wants(f"folds {name}"):
                report.compare(f"folds {name}", subjects(pipeline, Path(place) / name))
            shutil.rmtree(Path(place) / name, ignore_errors=True)


if __name__ == "__main__":
    main()
