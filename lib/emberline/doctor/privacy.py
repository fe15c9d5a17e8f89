"""Who may read what a run writes, and what of a pipeline file should not be in it."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.doctor.check import Check, ok, warning
from emberline.logs import is_secret, may_be_secret, public
from emberline.sections.base import Section
from emberline.sections.config import Config


def check_privacy(config: Config, root: Location | None) -> Iterator[Check]:
    """A line for the root where it is on this machine, one for the pipeline file, and one for
    the key where it is in a file.
    """
    if isinstance(root, Path) and root.is_dir():
        yield _check_readable("who reads the root", root, 0o005, f"chmod -R o= {root}")
    yield check_credentials(config)
    key_file = config.privacy.key_file if config.privacy else None
    if key_file is not None:
        place = storage.locate(key_file)
        if isinstance(place, Path) and place.is_file():
            yield _check_readable("who reads the key", place, 0o077, f"chmod 600 {place}")


def _check_readable(name: str, path: Path, bits: int, remedy: str) -> Check:
    mode = path.stat().st_mode
    if not mode & bits:
        return ok(name, f"{path}: {stat.filemode(mode)}")
    return warning(name, f"others than its owner may read {path}: {stat.filemode(mode)}", remedy)


def check_credentials(config: Config) -> Check:
    """Settings that hold what nobody should read in a pipeline file: their names, never them."""
    found = sorted(set(_secrets(config, "")))
    if not found:
        return ok("credentials", "none in the pipeline file")
    remedy = "give them by the environment or the machine's own files: docs/storage.md"
    return warning("credentials", f"in the pipeline file: {', '.join(found)}", remedy)


def _secrets(value: Any, name: str) -> Iterator[str]:
    if isinstance(value, Section):
        for key, below in value:
            yield from _secrets(below, f"{name}.{key}".lstrip("."))
    elif isinstance(value, dict):
        for key, below in value.items():
            is_named = is_secret(str(key)) and may_be_secret(str(key), str(below))
            yield from [f"{name}.{key}"] if is_named else _secrets(below, f"{name}.{key}")
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _secrets(below, name)
    elif isinstance(value, str) and "://" in value and public(value) != value:
        yield name
