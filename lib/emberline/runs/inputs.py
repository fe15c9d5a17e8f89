"""What a stage reads, looked at once: what it was decided on is what it reads."""

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from emberline.datasets.listing import Listing, RawFile
from emberline.datasets.manifest import Dataset, ProducedBy
from emberline.errors import ManifestError
from emberline.logs import public
from emberline.sections.artifacts import split_dataset_path


@dataclass(frozen=True, eq=False)
class Inputs(Mapping[str, Dataset]):
    """Datasets by name; by the setting that names them, the raw files that no stage makes; and
    what `private.decided` says.
    """

    datasets: Mapping[str, Dataset] = field(default_factory=dict)
    raw: Mapping[str, Listing] = field(default_factory=dict)
    privacy: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Dataset:
        return self.datasets[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.datasets)

    def __len__(self) -> int:
        return len(self.datasets)

    @property
    def sources(self) -> list[list[RawFile]]:
        """Of each setting its raw files."""
        return [listing.files for listing in self.raw.values()]

    def files(self, path: str) -> list[RawFile]:
        """The input files that a setting names: a path, a folder, a glob, or files of an
        artifact (`dataset:shop/*.csv`).
        """
        source = split_dataset_path(path)
        if source is None:
            return self.raw[path].files
        name, pattern = source
        return _files_of(self.datasets[name], pattern)

    def produced_by(self, name: str) -> ProducedBy:
        """Which run of which stage wrote an input, with which settings (`config`): what a stage
        needs to know of another's settings is there, never in the pipeline file at hand.
        """
        return self.datasets[name].manifest.produced_by

    def identities(self) -> dict[str, dict[str, str]]:
        """The fingerprint and the run of each dataset."""
        return {name: dataset.manifest.identity() for name, dataset in self.datasets.items()}

    def listed_as(self, sources: Sequence[Sequence[RawFile]]) -> "Inputs":
        """The same with other raw files, setting by setting."""
        pairs = zip(self.raw.items(), sources, strict=True)
        return replace(
            self, raw={path: replace(old, files=list(files)) for (path, old), files in pairs}
        )

    def passed_over(self) -> dict[str, str]:
        """By setting, what lies among its raw files and is not read."""
        told = {path: found for path, found in self.raw.items() if found.passed_over}
        is_secret = "pseudonyms" in self.privacy
        return {
            public(path): found.counted() if is_secret else str(found)
            for path, found in told.items()
        }


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
