"""The package's own code: its sources, their hash, and the functions that stages' rows name."""

import functools
import hashlib
import importlib
import importlib.resources
from collections.abc import Callable, Iterator
from importlib.resources.abc import Traversable
from typing import Any


@functools.cache
def code_hash() -> str:
    """The sha256 of the package's sources and templates, whether they lie in a folder or in a
    zip.
    """
    digest = hashlib.sha256()
    for name, content in sorted(sources()):
        digest.update(name.encode() + b"\0" + content + b"\0")
    return digest.hexdigest()


def sources(folder: Traversable | None = None, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The package's sources and templates: path below the package, and content."""
    for entry in (folder or importlib.resources.files("emberline")).iterdir():
        if entry.is_dir():
            yield from sources(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith((".py", ".j2", ".css")):
            yield prefix + entry.name, entry.read_bytes()


def resolve(target: str) -> Callable[..., Any]:
    """The object that `module:name` names."""
    module, _, name = target.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return function
