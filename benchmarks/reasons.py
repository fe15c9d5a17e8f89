"""Reasons for every place of every list: the stage explain beside the stage recommend, which makes
the lists, on this machine's cores, from Parquet to Parquet.

Top-10 of generated users with some 67 plays each, factors of rank 64 of two iterations of ALS; the
users double while the items stay, to see that memory is flat in the users but for their own rows.
"""

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import harness
import shapes
from harness import Subject

from emberline.datasets import storage
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.stages import STAGES

ITEMS, PER_USER = 20_000, 67
USERS = (30_000, 60_000)
COLUMNS = {"user_id": "user", "item_id": "item", "value": "value"}


def pipeline(path: Path) -> Config:
    """Lists and reasons of counts."""
    return Config.model_validate(
        {
            "ratings": {"path": str(path), "columns": COLUMNS, "value": "count"},
            "als": {"rank": 64, "iterations": 2},
            "recommend": {"top_k": 10},
            "explain": {},
            "spark": {"engine": "here", "driver_memory": "8g"},
        }
    )


def run(config: Config, root: Path, *names: str) -> None:
    """Some stages, or all before them, whether or not they are up to date."""
    chosen = [stage for stage in STAGES if stage.name in names]
    runner.run(config, storage.locate(str(root)), chosen, force=True)


def subjects(config: Config, root: Path) -> list[Subject]:
    """Both stages, over what they read."""
    run(config, root, "prepare-ratings", "split-ratings", "train-als", "recommend")
    return [
        Subject("explain", partial(run, config, root, "explain")),
        Subject("recommend", partial(run, config, root, "recommend")),
    ]


def main() -> None:
    """Measure each number of users."""
    options = harness.options(__doc__, with_spark=False)
    sizes = (2_000,) if options.quick else USERS
    with harness.report(options) as report, TemporaryDirectory(prefix="emberline-bench-") as place:
        for users in sizes:
            case = f"reasons {users:,}"
            if report.wants(case):
                name, folder = f"plays of {users}", Path(place) / str(users)
                folder.mkdir()
                values = shapes.SHAPES["plays"].values
                shapes.SHAPES.setdefault(name, shapes.Shape(users, ITEMS, PER_USER, values))
                config = pipeline(Path(shapes.write(name, folder)))
                report.compare(case, subjects(config, folder / "root"))
                shutil.rmtree(folder)
        report.growth("reasons", [(users, f"reasons {users:,}") for users in sizes])


if __name__ == "__main__":
    main()
