"""The command `emberline open`: where a root's report is, and a browser on it where there is a
screen.
"""

import os
import sys
import webbrowser
from collections.abc import Mapping
from pathlib import Path

from emberline.datasets import manifest as manifests
from emberline.datasets.storage import Location
from emberline.errors import ManifestError

FILE = "report.html"


def stable_path(root: Location) -> Location:
    """Where the current page of a root is, whatever run wrote it: a copy."""
    return root / "report" / FILE


def find(root: Location) -> Location:
    """The current page: at the place that stays, else where its run wrote it. Raises
    ManifestError where there is none.
    """
    if not manifests.exists(root, "report"):
        raise ManifestError(
            f"{root} has no report; add a section [report] to its pipeline and run it"
        )
    written = manifests.load(root, "report").paths[0]
    stable = stable_path(root)
    is_current = stable.is_file() and stable.read_bytes() == written.read_bytes()
    return stable if is_current else written


def show(page: Location) -> bool:
    """Open a page of this machine in a browser, where there is a screen for one; says whether
    it did.
    """
    return isinstance(page, Path) and has_screen(os.environ) and webbrowser.open(page.as_uri())


def has_screen(environment: Mapping[str, str]) -> bool:
    """Whether a browser would be seen; a text browser in the terminal of a server is not what
    was meant.
    """
    if sys.platform in ("darwin", "win32"):
        return "SSH_CONNECTION" not in environment
    return any(environment.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
