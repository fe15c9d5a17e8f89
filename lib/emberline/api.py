"""Emberline from Python, the same as the `emberline` command does: run a pipeline, and read what it
wrote.

`import emberline` gives these functions, and imports this module with the first that is used.
Errors are those of `emberline.errors`; pyspark is imported by a run that has something to do on it,
pandas by `to_pandas`.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from emberline import pipelines, stages
from emberline.datasets import damage, rows, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset, Manifest
from emberline.datasets.released import current_root
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location
from emberline.doctor import beginning
from emberline.errors import ConfigError, SchemaError
from emberline.runs import plan as plans
from emberline.runs import runner
from emberline.runs.plan import Decision
from emberline.runs.runner import Listener, Outcome
from emberline.sections.config import Config
from emberline.serving import lookup
from emberline.serving.lookup import Recommendation

if TYPE_CHECKING:
    import pandas as pd

Place = str | PathLike[str]
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Table:
    """A dataset that a pipeline wrote. Its rows are read when they are asked for, and every
    page is checked as it is read.
    """

    dataset: Dataset

    @property
    def name(self) -> str:
        """Such as `recommendations`."""
        return self.dataset.name

    @property
    def rows(self) -> int:
        """How many rows it has; 0 of files that are not Parquet."""
        return self.dataset.rows

    @property
    def columns(self) -> list[str]:
        """The names of its columns; none of files that are not Parquet."""
        return [field["name"] for field in self.manifest.fields]

    @property
    def manifest(self) -> Manifest:
        """The facts: which stage wrote it, in which run, of what, by which settings, and the
        stage's own in `info`.
        """
        return self.dataset.manifest

    @property
    def files(self) -> list[str]:
        """The paths, or URIs, of its parts."""
        return [str(path) for path in self.dataset.paths]

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows, a few thousand at a time, so that a table of any size can be read. Raises
        DataError for a damaged part.
        """
        return rows.batches(self.dataset, self._chosen(columns))

    def to_arrow(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows as one Arrow table."""
        return rows.whole(self.dataset, self._chosen(columns))

    def to_pandas(self, columns: Sequence[str] | None = None) -> "pd.DataFrame":
        """All rows as one data frame."""
        frame: pd.DataFrame = self.to_arrow(columns).to_pandas()
        return frame

    def verify(self) -> None:
        """Read every part again and compare its sha256. Raises ManifestError naming the first
        that differs.
        """
        damage.verify(self.dataset)

    def _schema(self) -> pa.Schema:
        if self.manifest.kind != "table":
            raise SchemaError(f"{self.name} is no table but files: {', '.join(self.files)}")
        return TABLES[self.name]

    def _chosen(self, columns: Sequence[str] | None) -> list[str]:
        known = self._schema().names
        unknown = [name for name in columns or () if name not in known]
        if unknown:
            raise SchemaError(
                f"{self.name} has no column {', '.join(unknown)} (its columns: {', '.join(known)})"
            )
        return known if columns is None else list(columns)


def run(
    pipeline: Place,
    *,
    root: Place | None = None,
    base: Place | None = None,
    settings: Settings | None = None,
    day: date | None = None,
    only: str | None = None,
    start: str | None = None,
    force: bool = False,
    listener: Listener | None = None,
) -> list[Outcome]:
    """Run the stages of a pipeline file that are not up to date, and return how each one ended.

    What the root lacks is read from `base`, another root, which is never written. `settings` maps
    names such as "als.rank" to values, as `--set` does; `day` is what {date} stands for. `only` is
    one stage, or several with commas between them, `start` the first of those to run. Where Spark
    is running in this process, it is used and left running. Raises ConfigError for a mistake in the
    file or the settings, DataError for data that is not what it should be.
    """
    config = _load(pipeline, {"root": root, "base": base}, settings, day)
    chosen = stages.select(config, only, start)
    beginning.check(config, storage.locate(config.root), chosen, force, os.environ)
    return runner.run(config, storage.locate(config.root), chosen, listener, force)


def plan(
    pipeline: Place,
    *,
    root: Place | None = None,
    base: Place | None = None,
    settings: Settings | None = None,
    day: date | None = None,
    only: str | None = None,
    start: str | None = None,
    force: bool = False,
) -> list[Decision]:
    """Say for each stage whether `run` would run it, and why; nothing is computed, and Spark
    does not start.
    """
    config = _load(pipeline, {"root": root, "base": base}, settings, day)
    return plans.plan(
        config, storage.locate(config.root), stages.select(config, only, start), force
    )


def open(dataset: Place) -> Table:
    """Open a dataset by its folder, such as `runs/demo/ratings`, or a table of the current release
    where one was published.

    Raises ManifestError where it is missing or torn.
    """
    path = _locate(dataset)
    root = current_root(path.parent)
    if not (root / path.name).is_dir():
        raise ConfigError(
            f"{path} is not a folder; give a dataset's folder, such as runs/demo/ratings"
        )
    return Table(manifests.load(root, path.name))


def recommend(root: Place, user: str, k: int = 10) -> list[Recommendation]:
    """A user's list, the best first, from a pipeline's root or from where it was published;
    `user` is the outside id.
    """
    if k < 1:
        raise ConfigError(f"k = {k} items cannot be recommended; give 1 or more")
    return lookup.recommendations_of(current_root(_locate(root)), user, k)


def _locate(place: Place) -> Location:
    return storage.locate(str(place))


def _load(
    pipeline: Place,
    roots: Mapping[str, Place | None],
    settings: Settings | None,
    day: date | None,
) -> Config:
    named = {key: place for key, place in roots.items() if place is not None}
    given = {**(settings or {}), **named}
    return pipelines.load(
        Path(pipeline), [f"{key}={_toml(value)}" for key, value in given.items()], day
    )


def _toml(value: Any) -> str:
    """A value as a pipeline file would have it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{json.dumps(key)} = {_toml(one)}' for key, one in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(
        str(value) if isinstance(value, (PathLike, date)) else value, ensure_ascii=False
    )
