"""One run of one stage, as the stage's function sees it."""

import fnmatch
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from emberline.datasets import damage
from emberline.datasets import manifest as manifests
from emberline.datasets.footers import check_footers
from emberline.datasets.listing import RawFile
from emberline.datasets.manifest import Dataset, Kind, Manifest, Part, ProducedBy
from emberline.datasets.prune import WORK
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import DataError, EmberlineError, ManifestError
from emberline.runs.package import code_hash
from emberline.sections.artifacts import split_dataset_path
from emberline.sections.config import Config
from emberline.sections.stage import Stage


@dataclass
class StageRun:
    """One run of one stage, as its function sees it.

    `raw` has the raw files, listed once: what the fingerprint says of them is true of what is read.
    `progress` takes a line for people. A stage that trains says at every step `at` what it is
    (phase, step), which costs next to nothing, and asks whether it is `stopping`: then it saves and
    raises Preempted. `committed` is called once the outputs are.
    """

    config: Config
    stage: Stage
    root: Location
    inputs: dict[str, Dataset]
    fingerprint: str
    run_id: str
    raw: dict[str, list[RawFile]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, Manifest] = field(default_factory=dict)
    continued: dict[str, dict[str, str]] = field(default_factory=dict)
    progress: Callable[[str], None] = lambda text: None
    stopping: Callable[[], bool] = lambda: False
    at: Callable[[str, int], None] = lambda phase, step: None
    committed: Callable[[], None] = lambda: None

    @property
    def settings(self) -> Any:
        """The stage's own section of the config."""
        return self.stage.settings(self.config)

    @property
    def work(self) -> Location:
        """A folder that survives a killed attempt at the same fingerprint, and is removed after
        the commit.
        """
        return self.root / WORK / self.stage.name / self.fingerprint[:16]

    @property
    def scratch(self) -> Location:
        """A folder that is removed when the run ends, well or not."""
        return self.work / self.run_id

    def folder(self, name: str) -> Location:
        """Where this run writes the parts of its output `name`."""
        return self.root / name / manifests.run_folder(self.fingerprint, self.run_id)

    def previous(self, name: str) -> Dataset | None:
        """The output `name` as committed by an earlier run that this one continues, recorded as
        lineage; None at first.

        Raises ManifestError where it is damaged: to start anew is for people to decide, since what
        builds on it would not fit.
        """
        if not manifests.exists(self.root, name):
            return None
        try:
            dataset = manifests.load(self.root, name)
            check_footers(dataset)
        except EmberlineError as error:
            raise self._cannot_continue(name, str(error)) from error
        self.continued[name] = dataset.manifest.identity()
        return dataset

    def _cannot_continue(self, name: str, why: str) -> ManifestError:
        return ManifestError(
            f"{self.stage.name} continues {name}, which is damaged ({why}). Restore"
            f" {self.root / name} from a backup; or, to start anew, remove"
            f" {', '.join(self.stage.writes(self.config))} from {self.root} and run everything"
            " again"
        )

    def unreadable(self, path: Location) -> DataError:
        """What to say of a file that this run could not read: a part of a table, its own work,
        or a raw file.
        """
        table = path.parent.parent.name
        if table in self.inputs:
            return damage.damaged(self.inputs[table], path, "its pages were altered")
        if table in self.continued:
            return self._cannot_continue(table, f"{path} cannot be read")
        if f"/{WORK}/{self.stage.name}/" in str(path):
            return DataError(
                f"{path} cannot be read, though {self.stage.name} has just written it; check the"
                " disk, and run it again"
            )
        return DataError(f"{path} cannot be read: it is damaged, or was changed while it was read")

    def raw_files(self, path: str) -> list[RawFile]:
        """The input files that a setting names: a path, a folder, a glob, or files of an
        artifact (`dataset:shop/*.csv`).
        """
        source = split_dataset_path(path)
        if source is None:
            return self.raw[path]
        name, pattern = source
        return _files_of(self.inputs[name], pattern)

    def add(
        self,
        name: str,
        parts: Sequence[Part],
        rank: int | None = None,
        seed: int | None = None,
        **info: Any,
    ) -> None:
        """Announce the finished parts of an output; it becomes a dataset when the stage's
        function has returned.
        """
        schema = TABLES.get(name)
        kind: Kind = "artifact" if schema is None else "table"
        produced_by = ProducedBy(
            stage=self.stage.name,
            fingerprint=self.fingerprint,
            run_id=self.run_id,
            config=self.settings.what(),
            inputs={key: dataset.manifest.identity() for key, dataset in self.inputs.items()},
            previous=self.continued,
            code=code_hash(),
        )
        fields = fields_of(schema) if schema is not None else []
        rows = sum(part.rows for part in parts)
        self.outputs[name] = Manifest(
            name, kind, fields, rows, list(parts), produced_by, rank, seed, info
        )

    def written(self, name: str) -> Dataset:
        """An output that this run has added, before it is committed, for reading it again."""
        return Dataset(self.root / name, self.outputs[name])


def new_run_id() -> str:
    """An id that sorts by time and that no other run has."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def _files_of(dataset: Dataset, pattern: str) -> list[RawFile]:
    files = []
    for part, path in zip(dataset.manifest.parts, dataset.paths, strict=True):
        relative = PurePosixPath(*PurePosixPath(part.path).parts[1:]).as_posix()
        if fnmatch.fnmatch(relative, pattern):
            stat = path.stat()
            files.append(RawFile(str(path), relative, stat.st_size, stat.st_mtime_ns))
    if not files:
        raise ManifestError(f"no file of {dataset.name} matches {pattern!r}")
    return files
