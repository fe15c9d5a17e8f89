"""A dataset's manifest: the one file that says which parts, of which run, are the dataset.

    <root>/<name>/manifest.json
    <root>/<name>/<fingerprint, 16 digits>-<run_id>/part-00000-<random>.parquet

Parts are written once and never changed; the manifest is replaced last, in one step. No manifest, no dataset.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import DataError, ManifestError, SchemaError

FORMAT_VERSION = 1
FILE_NAME = "manifest.json"
_RUN_FOLDER = re.compile(r"[0-9a-f]{16}-\d{8}T\d{6}-[0-9a-f]{8}")
Kind = Literal["table", "artifact"]


@dataclass(frozen=True)
class Part:
    """One file of a dataset; `path` is relative to the dataset's folder.

    For other than Parquet, `rows` and `row_groups` are 0, and `footer`, the sha256 of a Parquet file's end, is empty.
    """

    path: str
    rows: int
    row_groups: int
    bytes: int
    sha256: str
    footer: str = ""


@dataclass(frozen=True)
class ProducedBy:
    """Where a dataset comes from.

    `config` is the stage's WHAT settings; `inputs` maps each input's name to its fingerprint and run_id; `previous` does so for
    earlier outputs that the run continued (the id maps) and that do not enter the fingerprint; `code` is the hash of the
    package's sources.
    """

    stage: str
    fingerprint: str
    run_id: str
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    previous: dict[str, Any] = field(default_factory=dict)
    code: str = ""


@dataclass(frozen=True)
class Manifest:
    """What one committed dataset consists of; `info` holds the producing stage's own facts, such as counts by reason."""

    name: str
    kind: Kind
    fields: list[dict[str, Any]]
    rows: int
    parts: list[Part]
    produced_by: ProducedBy
    rank: int | None = None
    seed: int | None = None
    info: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT_VERSION

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """The manifest that `asdict` made this of. Raises TypeError or KeyError for what is none."""
        parts = [_part(part) for part in content["parts"]]
        return cls(**content | {"parts": parts, "produced_by": ProducedBy(**content["produced_by"])})

    def identity(self) -> dict[str, str]:
        """What another dataset's lineage says of this one."""
        return {"fingerprint": self.produced_by.fingerprint, "run_id": self.produced_by.run_id}


@dataclass(frozen=True)
class Dataset:
    """A committed dataset at its place."""

    folder: Location
    manifest: Manifest

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def rows(self) -> int:
        return self.manifest.rows

    @property
    def paths(self) -> list[Location]:
        """The parts, in the manifest's order."""
        return [storage.inside(self.folder, part.path) for part in self.manifest.parts]


def run_folder(fingerprint: str, run_id: str) -> str:
    """The name of the folder, below the dataset's, that one run writes its parts to."""
    return f"{fingerprint[:16]}-{run_id}"


def is_run_folder(name: str) -> bool:
    """Whether a folder's name is one that `run_folder` gives."""
    return _RUN_FOLDER.fullmatch(name) is not None


def commit(root: Location, manifest: Manifest) -> None:
    """Make `manifest` the dataset: from here on, readers find these parts, also after a power cut."""
    for folder in {(root / manifest.name / part.path).parent for part in manifest.parts}:
        storage.sync_folder(folder)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False, sort_keys=False)
    storage.replace_file(root / manifest.name / FILE_NAME, text.encode())
    storage.sync_folder(root)


def exists(root: Location, name: str) -> bool:
    """Whether a dataset of this name has been committed."""
    return (root / name / FILE_NAME).is_file()


def load(root: Location, name: str) -> Dataset:
    """Open a dataset and check version, fields, and every part's presence and size.

    Raises ManifestError, or SchemaError where the fields are not those that this version of Emberline reads.
    """
    dataset = _parse(root, name)
    _check_fields(dataset)
    _check_parts(dataset)
    return dataset


def verify(dataset: Dataset) -> None:
    """Read every part again and compare its sha256. Raises ManifestError naming the first part that differs."""
    for part in dataset.manifest.parts:
        verify_part(dataset, part)


def verify_part(dataset: Dataset, part: Part) -> None:
    """Read one part again and compare its sha256. Raises ManifestError where it differs, DataError where it cannot be read."""
    path = storage.inside(dataset.folder, part.path)
    with damage_explained(dataset, path):
        found = sha256_of(path)
    if found != part.sha256:
        raise ManifestError(
            f"{dataset.folder.name}/{part.path} was altered: its sha256 is not the manifest's; "
            f"{_remedy(dataset.manifest)} with --force"
        )


def check_no_more(dataset: Dataset) -> None:
    """Raises ManifestError where the folders of the dataset's parts hold a file that the manifest does not list."""
    listed = set(dataset.paths)
    for folder in sorted({path.parent for path in listed}, key=str):
        more = sorted(set(storage.children(folder)) - listed, key=str)
        if more:
            raise ManifestError(
                f"{more[0]} is not a part of {dataset.name}: its manifest does not list it; remove it, "
                f"or {_remedy(dataset.manifest)} with --force"
            )


@contextmanager
def damage_explained(dataset: Dataset, path: Location) -> Iterator[None]:
    """Raises DataError where a part cannot be read."""
    try:
        yield
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(dataset, path, error) from error


def damaged(dataset: Dataset, path: Location, why: object) -> DataError:
    """What to say of a part that cannot be read; `why` may have several lines."""
    return DataError(f"{path} cannot be read ({' '.join(str(why).split())}); {_remedy(dataset.manifest)} with --force")


def sha256_of(path: Location) -> str:
    """The file's sha256 as hexadecimal digits."""
    with storage.open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_same_run(datasets: Iterable[Dataset]) -> None:
    """Raises ManifestError where two datasets of one stage were written by different runs of it."""
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        produced_by = dataset.manifest.produced_by
        other = seen.setdefault(produced_by.stage, dataset)
        if other.manifest.produced_by.run_id != produced_by.run_id:
            raise ManifestError(
                f"{other.name} (run {other.manifest.produced_by.run_id}) and {dataset.name} (run {produced_by.run_id}) "
                f"come from different runs of {produced_by.stage} in {dataset.folder.parent}; rerun {produced_by.stage}"
            )


def _parse(root: Location, name: str) -> Dataset:
    folder = root / name
    path = folder / FILE_NAME
    if not path.is_file():
        raise ManifestError(
            f"{folder} has no {FILE_NAME}, so there is no dataset {name} in {root}; run the pipeline that writes it"
        )
    try:
        content = json.loads(path.read_bytes())
        version = content["format"]
        if version != FORMAT_VERSION:
            raise ManifestError(
                f"{path}: format version {version}, expected {FORMAT_VERSION}; rerun the stage that writes {name}"
            )
        manifest = Manifest.from_json(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(f"{path} is not a manifest ({error}); rerun the stage that writes {name}") from error
    if manifest.name != name:
        raise ManifestError(f"{path} is the manifest of {manifest.name}, not of {name}")
    return Dataset(folder, manifest)


def _part(values: dict[str, Any]) -> Part:
    part = Part(**values)
    for name, kind in Part.__annotations__.items():
        if type(getattr(part, name)) is not kind:
            raise TypeError(f"a part's {name} is {getattr(part, name)!r}")
    return part


def _check_fields(dataset: Dataset) -> None:
    manifest = dataset.manifest
    schema = TABLES.get(manifest.name)
    if manifest.kind == "table" and schema is not None and manifest.fields != fields_of(schema):
        raise SchemaError(
            f"{dataset.folder / FILE_NAME}: fields {_names(manifest.fields)} are not those expected "
            f"({_names(fields_of(schema))}); {_remedy(manifest)}"
        )


def _names(fields: list[dict[str, Any]]) -> str:
    return ", ".join(f"{f.get('name')} {f.get('type')}{'?' if f.get('nullable') else ''}" for f in fields)


def _check_parts(dataset: Dataset) -> None:
    manifest = dataset.manifest
    try:
        sizes = storage.sizes(dataset.paths)
    except OSError as error:
        raise DataError(f"{dataset.folder} cannot be read: {error}") from error
    for part, path in zip(manifest.parts, dataset.paths, strict=True):
        where = f"{dataset.folder.name}/{FILE_NAME} lists {len(manifest.parts)} parts but {part.path}"
        if path not in sizes:
            raise ManifestError(f"{where} is missing; {_remedy(manifest)}")
        if sizes[path] != part.bytes:
            raise ManifestError(f"{where} has {sizes[path]} bytes instead of {part.bytes}; {_remedy(manifest)}")


def _remedy(manifest: Manifest) -> str:
    return f"rerun {manifest.produced_by.stage}"
