"""A dataset's manifest: the one file that says which parts, of which run, are the dataset.

    <root>/<name>/manifest.json
    <root>/<name>/<fingerprint, 16 digits>-<run_id>/part-00000-<random>.parquet

Parts are written once and never changed; the manifest is replaced last, in one step. No manifest,
no dataset.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeVar

from emberline.datasets import facts, storage, typed_json
from emberline.datasets.info import Facts
from emberline.datasets.schema import TABLES, fields_of
from emberline.datasets.storage import Location
from emberline.errors import DataError, ManifestError, SchemaError

FORMAT_VERSION = 1
FILE_NAME = "manifest.json"
_RUN_FOLDER = re.compile(r"[0-9a-f]{16}-\d{8}T\d{6}-[0-9a-f]{8}")
Kind = Literal["table", "artifact"]
AnyFacts = TypeVar("AnyFacts", bound=Facts)


@dataclass(frozen=True)
class Field:
    """One column of a table."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class Part:
    """One file of a dataset; `path` is relative to the dataset's folder.

    For other than Parquet, `rows` and `row_groups` are 0, and `footer`, the sha256 of a Parquet
    file's end, is empty.
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

    `config` is the stage's WHAT settings; `inputs` maps each input's name to its fingerprint and
    run_id; `previous` does so for earlier outputs that the run continued (the id maps) and that do
    not enter the fingerprint; `code` is the hash of the package's sources; `privacy` is
    what the section [privacy], its key's fingerprint and people who were forgotten decide.
    """

    stage: str
    fingerprint: str
    run_id: str
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, dict[str, str]] = field(default_factory=dict)
    previous: dict[str, dict[str, str]] = field(default_factory=dict)
    code: str = ""
    privacy: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """What one committed dataset consists of; `info` holds the producing stage's own
    facts, such as counts by reason; `facts` gives them typed.
    """

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
    def from_json(cls, content: Any) -> "Manifest":
        """The manifest that `asdict` made this of. Raises ValueError, which names the field,
        for what is none.
        """
        manifest = typed_json.build(cls, content)
        for place, column in enumerate(manifest.fields):
            typed_json.build(Field, column, f"fields[{place}]")
        facts.check(manifest.info)
        by = manifest.produced_by
        for name, identity in (*by.inputs.items(), *by.previous.items()):
            if "run_id" not in identity:
                raise ValueError(f"produced_by: {name} has no run_id")
        return manifest

    def facts(self, kind: type[AnyFacts]) -> AnyFacts:
        """What the stage said of the dataset. Raises ManifestError, which names the field, where it
        did not.
        """
        try:
            return kind.from_json(self.info)
        except ValueError as error:
            raise ManifestError(
                f"the manifest of {self.name}: {error}, which is needed here; {remedy(self)} with"
                " --force"
            ) from error

    def given(self, kind: type[AnyFacts]) -> AnyFacts | None:
        """As `facts`; None where the stage said nothing of the kind."""
        return self.facts(kind) if self.info.keys() & set(kind.names()) else None

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
    """Make `manifest` the dataset: from here on, readers find these parts, also after a power
    cut.
    """
    for folder in {(root / manifest.name / part.path).parent for part in manifest.parts}:
        storage.sync_folder(folder)
    text = json.dumps(asdict(manifest), indent=1, ensure_ascii=False, sort_keys=False)
    # names of files in other bytes than UTF-8, as JSON escapes them
    escaped = text.encode(errors="backslashreplace")
    storage.replace_file(root / manifest.name / FILE_NAME, escaped)
    storage.sync_folder(root)


def exists(root: Location, name: str) -> bool:
    """Whether a dataset of this name has been committed."""
    return (root / name / FILE_NAME).is_file()


def names(root: Location) -> list[str]:
    """The names of the datasets in a root, whole or damaged."""
    folders = (path for path in storage.children(root) if not path.name.startswith(("_", ".")))
    return [path.name for path in folders if exists(root, path.name)]


def load(root: Location, name: str) -> Dataset:
    """Open a dataset and check version, fields, and every part's presence and size.

    Raises ManifestError, or SchemaError where the fields are not those that this version of
    Emberline reads.
    """
    dataset = _parse(root, name)
    _check_fields(dataset)
    _check_parts(dataset)
    return dataset


def reopen(root: Location, content: Any) -> Dataset:
    """A dataset as an earlier manifest of it, of which this is the JSON, has it, where all of its
    parts are still there. Raises ManifestError, or SchemaError for other fields, where not.
    """
    try:
        manifest = Manifest.from_json(content)
    except ValueError as error:
        raise ManifestError(f"this is no manifest: {error}") from error
    if manifest.name not in TABLES:
        raise ManifestError(f"there is no table {manifest.name!r:.60}")
    dataset = Dataset(root / manifest.name, manifest)
    _check_fields(dataset)
    _check_parts(dataset)
    return dataset


def check_same_run(datasets: Iterable[Dataset]) -> None:
    """Raises ManifestError where two datasets of one stage were written by different runs of it."""
    seen: dict[str, Dataset] = {}
    for dataset in datasets:
        produced_by = dataset.manifest.produced_by
        other = seen.setdefault(produced_by.stage, dataset)
        if other.manifest.produced_by.run_id != produced_by.run_id:
            raise ManifestError(
                f"{other.name} (run {other.manifest.produced_by.run_id}) and {dataset.name} (run"
                f" {produced_by.run_id}) come from different runs of {produced_by.stage} in"
                f" {dataset.folder.parent}; rerun {produced_by.stage}"
            )


def check_made_from(made: Dataset, source: Dataset, name: str = "") -> None:
    """Raises ManifestError where a dataset was made from another run of one that it reads; `name`
    is what that was called then, if it has another name now.
    """
    read = made.manifest.produced_by.inputs.get(name or source.name)
    if read != source.manifest.identity():
        raise ManifestError(
            f"{made.name} in {made.folder.parent} is not of the {source.name} there now: rerun"
            f" {made.manifest.produced_by.stage}"
        )


def _parse(root: Location, name: str) -> Dataset:
    folder = root / name
    path = folder / FILE_NAME
    if not path.is_file():
        raise ManifestError(
            f"{folder} has no {FILE_NAME}, so there is no dataset {name} in {root}; run the"
            " pipeline that writes it"
        )
    try:
        content = typed_json.read(path)
        if not isinstance(content, dict) or "format" not in content:
            raise ValueError("expected an object with a format")
        version = content["format"]
        if type(version) is not int or version != FORMAT_VERSION:
            raise ManifestError(
                f"{path}: format version {version!r:.60}, expected {FORMAT_VERSION}; rerun the"
                f" stage that writes {name}"
            )
        manifest = Manifest.from_json(content)
    except ValueError as error:
        raise ManifestError(
            f"{path} is not a manifest ({error}); rerun the stage that writes {name}"
        ) from error
    if manifest.name != name:
        raise ManifestError(f"{path} is the manifest of {manifest.name}, not of {name}")
    return Dataset(folder, manifest)


def _check_fields(dataset: Dataset) -> None:
    manifest = dataset.manifest
    schema = TABLES.get(manifest.name)
    if manifest.kind == "table" and schema is not None and manifest.fields != fields_of(schema):
        raise SchemaError(
            f"{dataset.folder / FILE_NAME}: fields {_names(manifest.fields)} are not those expected"
            f" ({_names(fields_of(schema))}); {remedy(manifest)}"
        )


def _names(fields: list[dict[str, Any]]) -> str:
    return ", ".join(
        f"{f.get('name')} {f.get('type')}{'?' if f.get('nullable') else ''}" for f in fields
    )


def _check_parts(dataset: Dataset) -> None:
    manifest = dataset.manifest
    try:
        _check_no_links(dataset)
        sizes = storage.sizes(dataset.paths)
    except OSError as error:
        raise DataError(f"{dataset.folder} cannot be read: {error}") from error
    for part, path in zip(manifest.parts, dataset.paths, strict=True):
        where = (
            f"{dataset.folder.name}/{FILE_NAME} lists {len(manifest.parts)} parts but {part.path}"
        )
        if path not in sizes:
            raise ManifestError(f"{where} is missing; {remedy(manifest)}")
        if sizes[path] != part.bytes:
            raise ManifestError(
                f"{where} has {sizes[path]} bytes instead of {part.bytes}; {remedy(manifest)}"
            )


def _check_no_links(dataset: Dataset) -> None:
    """Raises ManifestError where a part, or a folder on the way to it, is a link: it may lead
    out of the root.
    """
    link = storage.link_on_the_way(dataset.folder, dataset.paths)
    if link is not None:
        raise ManifestError(
            f"{link} is a link, which may lead elsewhere; {dataset.name} has its parts in its own"
            f" folder: {remedy(dataset.manifest)} with --force"
        )


def remedy(manifest: Manifest) -> str:
    return f"rerun {manifest.produced_by.stage}"
