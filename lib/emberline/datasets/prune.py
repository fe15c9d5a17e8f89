"""Remove what no manifest names: the run folders that later runs replaced, and what killed runs
left of theirs.
"""

import logging
import re
import time
from collections.abc import Iterator
from pathlib import PurePosixPath

from emberline.datasets import lock, storage
from emberline.datasets import manifest as manifests
from emberline.datasets.storage import Location
from emberline.errors import ConfigError, EmberlineError
from emberline.logs import event

WORK = "_work"
_WORK_FOLDER = re.compile(r"[0-9a-f]{16}")
log = logging.getLogger(__name__)


def prune(root: Location, keep: int, older_than: float) -> list[Location]:
    """Remove run folders that no manifest names, and work folders; returns what was removed.

    Kept are, for each dataset, the folder that its manifest names and the newest others up to
    `keep` in all, and whatever was changed less than `older_than` seconds ago, since a running
    stage or a slow reader may still need it. A dataset whose manifest cannot be read is left alone,
    and so is every link, with what it leads to. Raises ConfigError where there is no root,
    LockedError while a run works on it.
    """
    if not root.is_dir():
        raise ConfigError(f"{root} is not a folder; give the root of a pipeline")
    spared_since = time.time() - older_than
    with lock.hold(root):
        removed = [
            folder
            for folder in _superfluous(root, keep)
            if storage.last_change(folder) <= spared_since
        ]
        for folder in removed:
            storage.remove_folder(folder)
    return removed


def _superfluous(root: Location, keep: int) -> Iterator[Location]:
    """The folders to remove, however new they are."""
    for dataset in (
        path
        for path in storage.children(root)
        if not path.name.startswith("_") and _is_folder(path)
    ):
        named = _named_folders(root, dataset.name)
        if named is not None:
            others = sorted(
                _run_folders(dataset, named),
                key=lambda path: path.name.partition("-")[2],
                reverse=True,
            )
            yield from others[max(keep - 1, 0) :]
    for stage in filter(
        _is_folder, storage.children(root / WORK) if _is_folder(root / WORK) else ()
    ):
        yield from (
            path
            for path in storage.children(stage)
            if _WORK_FOLDER.fullmatch(path.name) and _is_folder(path)
        )


def _named_folders(root: Location, name: str) -> set[str] | None:
    """The run folders that the manifest names; empty without a manifest; None where it cannot
    be read: touch nothing.
    """
    if not manifests.exists(root, name):
        return set()
    try:
        return {
            PurePosixPath(part.path).parts[0] for part in manifests.load(root, name).manifest.parts
        }
    except EmberlineError as error:
        log.warning(event("prune_skipped", dataset=name, because=error))
        return None


def _run_folders(dataset: Location, named: set[str]) -> Iterator[Location]:
    for path in storage.children(dataset):
        if manifests.is_run_folder(path.name) and path.name not in named and _is_folder(path):
            yield path


def _is_folder(path: Location) -> bool:
    return path.is_dir() and not path.is_symlink()
