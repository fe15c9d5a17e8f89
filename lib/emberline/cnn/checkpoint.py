"""Checkpoints: one file each with everything that training needs to go on exactly where it was.

A checkpoint is an `.npz` of arrays alone, which executes nothing when it is read. It is replaced in
one step; the last ones are kept, and one that cannot be read is passed over.
"""

import io
import json
import logging
import re
import zipfile
from dataclasses import dataclass
from typing import Any

import numpy as np

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import StorageError
from emberline.logs import event
from emberline.numeric.arrays import Array

log = logging.getLogger(__name__)
_DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)
_NAME = re.compile(r"step-(\d{10})\.npz")


@dataclass(frozen=True)
class Checkpoint:
    """`variables`: of model and optimizer, in their order. `best`: the model's at its best epoch,
    empty within the first.

    `state`: the training loop's numbers, JSON-ready.
    """

    variables: list[Array]
    best: list[Array]
    state: dict[str, Any]


def save(folder: Location, step: int, checkpoint: Checkpoint, keep: int) -> None:
    """Write the checkpoint of a step, and remove all but the last `keep`."""
    named = {f"variable_{i}": value for i, value in enumerate(checkpoint.variables)}
    named |= {f"best_{i}": value for i, value in enumerate(checkpoint.best)}
    content = io.BytesIO()
    counts = np.array([len(checkpoint.variables), len(checkpoint.best)])
    state = np.array(json.dumps(checkpoint.state))
    np.savez(content, state=state, counts=counts, **named)  # type: ignore[arg-type]
    storage.replace_file(_file(folder, step), content.getvalue())
    for path in _files(folder)[:-keep]:
        path.unlink()


def load_latest(folder: Location) -> tuple[int, Checkpoint] | None:
    """The step and the content of the newest checkpoint that can be read; None where there is
    none.
    """
    for path in reversed(_files(folder)):
        try:
            return int(path.name[len("step-") : -len(".npz")]), _load(path)
        except _DAMAGE as error:
            log.warning(event("checkpoint_damaged", path=path, because=error))
    return None


def load(folder: Location, step: int) -> Checkpoint:
    """The checkpoint of a step. Raises StorageError where it cannot be read here."""
    try:
        return _load(_file(folder, step))
    except _DAMAGE as error:
        raise StorageError(
            f"{_file(folder, step)}, from which the chief goes on, cannot be read here ({error}); "
            "the root has to be on storage that every worker reaches"
        ) from error


def _file(folder: Location, step: int) -> Location:
    return folder / f"step-{step:010d}.npz"


def _files(folder: Location) -> list[Location]:
    return [path for path in storage.children(folder) if _NAME.fullmatch(path.name)]


def _load(path: Location) -> Checkpoint:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
        state = json.loads(str(content["state"]))
        variables, best = content["counts"].tolist()  # a damaged directory may have lost names
        return Checkpoint(
            _numbered(content, "variable", variables), _numbered(content, "best", best), state
        )


def _numbered(content: Any, prefix: str, count: int) -> list[Array]:
    return [content[f"{prefix}_{i}"] for i in range(count)]
