"""Reasons for every place of every list: the stage explain beside the stage recommend, which makes
the lists, on this machine's cores, from Parquet to Parquet.

Top-10 of generated users, half of whom have more than 67 plays (111 on average), factors of rank 64
of two iterations of ALS; the users double while the items stay, to see that memory is flat in the
users but for their own rows.
"""

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import harness
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pcsv
import shapes
from harness import Subject

from emberline.datasets import storage
from emberline.runs import runner
from emberline.sections.config import Config
from emberline.stages import STAGES

ITEMS, PER_USER = 20_000, 67
USERS = (30_000, 60_000)
TOWN = 5_000  # users with tastes of their own: so many are made up at a time
COLUMNS = {"user_id": "user", "item_id": "item", "value": "value"}

BEFORE = ("prepare-ratings", "split-ratings", "train-als", "recommend")


def write(users: int, path: Path) -> None:
    """The plays of towns, one after the other."""
    schema = pa.schema([(name, pa.int64()) for name in COLUMNS.values()])
    with pcsv.CSVWriter(path, schema) as file:
        for first in range(0, users, TOWN):
            count = min(TOWN, users - first)
            town = shapes.Shape(count, ITEMS, PER_USER, shapes.SHAPES["plays"].values)
            plays = shapes.make(town, seed=1 + first)
            plays = plays.set_column(0, "user", pc.add(plays["user"], first))
            file.write_table(plays.cast(schema))


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


def subject(path: Path, root: Path, name: str) -> Subject:
    """A stage, over what those before it have written."""
    return Subject(name, partial(run, pipeline(path), root, name))


def main() -> None:
    """Measure each number of users."""
    options = harness.options(__doc__, with_spark=False)
    sizes = (2_000,) if options.quick else USERS
    with harness.report(options) as report, TemporaryDirectory(prefix="emberline-bench-") as place:
        for users in sizes:
            case = f"reasons {users:,}"
            if report.wants(case):
                folder = Path(place) / str(users)
                folder.mkdir()
                write(users, folder / "plays.csv")
                where = (folder / "plays.csv", folder / "root")
                run(pipeline(where[0]), where[1], *BEFORE)
                makers = [partial(subject, *where, name) for name in ("explain", "recommend")]
                with harness.apart(makers) as subjects:
                    report.compare(case, subjects)
                shutil.rmtree(folder)
        report.growth("reasons", [(users, f"reasons {users:,}") for users in sizes])


if __name__ == "__main__":
    main()
