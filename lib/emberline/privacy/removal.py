"""What may still hold people after everything has been made anew without them, removed: earlier
runs, work in progress, releases, and what nobody makes anew.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

from emberline.datasets import inputs as raw_inputs
from emberline.datasets import lock, prune, released, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.manifest import Dataset
from emberline.datasets.storage import Location
from emberline.errors import EmberlineError
from emberline.models import quantized
from emberline.publish import releases
from emberline.runs import status as statuses
from emberline.sections.config import Config
from emberline.sections.stage import Stage

_PERSONAL = {"user", "user_id", "raw", "neighbor"}  # columns of people, or of their rows


def remove(root: Location, config: Config, stages: Sequence[Stage]) -> list[str]:
    """Remove from a root, which a run of the stages has made anew, whatever that has not; returns
    the paths below the root.
    """
    with lock.hold(root):
        gone = [
            *_others(root, {name for stage in stages for name in stage.writes(config)}),
            *_notes_of_others(root, {stage.name for stage in stages}),
        ]
        for path in gone:
            _remove(path)
    gone += prune.prune(root, keep=1, older_than=0.0)
    return sorted(storage.below(path, root) for path in gone)


def _remove(path: Location) -> None:
    """A file; or a dataset, of which the manifest goes first, so that none is left torn."""
    if path.is_file():
        path.unlink()
        return
    if (path / manifests.FILE_NAME).is_file():
        (path / manifests.FILE_NAME).unlink()
    storage.remove_folder(path)


def _others(root: Location, made: set[str]) -> Iterator[Location]:
    """Datasets that no stage of the pipeline makes, and that hold people, or were made of what was
    replaced.
    """
    for name in manifests.names(root):
        if name not in made and not _is_clean(root, name):
            yield root / name


def _is_clean(root: Location, name: str) -> bool:
    try:
        dataset = manifests.load(root, name)
        return not _is_personal(dataset) and all(
            manifests.exists(root, read)
            and manifests.load(root, read).manifest.identity() == identity
            for read, identity in dataset.manifest.produced_by.inputs.items()
        )
    except EmberlineError:
        return False


def _is_personal(dataset: Dataset) -> bool:
    columns = {field["name"] for field in dataset.manifest.fields}
    return dataset.manifest.kind == "table" and bool(columns & _PERSONAL)


def _notes_of_others(root: Location, names: set[str]) -> Iterator[Location]:
    """How stages ended that are not in the pipeline, and which files they read; and work."""
    for folder in (statuses.FOLDER, raw_inputs.FOLDER):
        for path in storage.children(root / folder):
            if path.is_file() and path.name.partition(".")[0] not in names:
                yield path
    yield from (path for path in storage.children(root / prune.WORK) if path.is_dir())


def replace_releases(root: Location, folder: Location) -> tuple[str, list[str]]:
    """Publish the root's tables where an earlier release of them was, and remove every earlier one;
    returns the new release's id, and theirs. Gates are not asked: what has to go has to go.
    """
    before = released.current(folder)
    had = set(before.datasets) if before else set()
    tables = [name for name in manifests.names(root) if {name, quantized(name)} & had]
    few = any(quantized(name) in had for name in tables)
    earlier = {path.name for path in storage.children(folder / released.RELEASES)}
    release, _ = releases.publish(
        root,
        folder,
        tables,
        keep=1,
        is_baseline=True,
        with_defaults=False,
        factors="int8" if few else "float32",
    )
    return release.release, sorted(earlier - {release.release})


def hashes_of(root: Location) -> Mapping[str, str]:
    """By dataset, the sha256 of its manifest."""
    return {
        name: hashlib.sha256((root / name / manifests.FILE_NAME).read_bytes()).hexdigest()
        for name in manifests.names(root)
    }
