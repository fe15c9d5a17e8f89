"""What comes with the package for people: pipelines that run by their names, and the pages that
messages speak of.

A wheel has them in `emberline/share`; a checkout has them where they are edited.
"""

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

PIPELINES = "jobs/pipelines"


def pipeline_names() -> list[str]:
    """Such as demo and movielens."""
    found = _place("pipelines", PIPELINES).iterdir()
    return sorted(file.name.removesuffix(".toml") for file in found if file.name.endswith(".toml"))


def pipeline(path: Path) -> Traversable | None:
    """The pipeline that comes with the package, where a path is no file (a folder may be called
    so) but the bare name of one.
    """
    if path.name != str(path) or path.is_file() or path.name not in pipeline_names():
        return None
    return _place("pipelines", PIPELINES).joinpath(f"{path.name}.toml")


def page(name: str) -> str:
    """Where a page such as storage.md can be read: below the working folder as docs/storage.md,
    or in the package.
    """
    place = _place("docs", "docs").joinpath(name)
    return f"docs/{name}" if Path("docs", name).is_file() else str(place)


def _place(installed: str, checkout: str) -> Traversable:
    share = importlib.resources.files("emberline").joinpath("share", installed)
    return share if share.is_dir() else Path(__file__).parents[2] / checkout
