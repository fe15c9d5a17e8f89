"""What was published, as its readers see it: which release of a folder is current, and what a
release is.

<folder>/current.json                       names the release to read; replaced last
<folder>/releases/<id>/<table>/...          datasets as in any root: manifest and parts
<folder>/releases/<id>/release.json         what the release is: tables, measures, gates
"""

import re
from dataclasses import dataclass, field

from emberline.datasets import typed_json
from emberline.datasets.sketch import Sketch
from emberline.datasets.storage import Location
from emberline.errors import ManifestError

CURRENT, RELEASES, RELEASE = "current.json", "releases", "release.json"
FORMAT_VERSION = 1
ID = re.compile(r"\d{8}T\d{6}-[0-9a-f]{8}")


@dataclass(frozen=True)
class Measure:
    """One number of a release, the hash of the protocol by which it was measured, and the data
    it is of; counts have neither.
    """

    value: float
    protocol: str | None = None
    data: Sketch | None = None


@dataclass(frozen=True)
class Verdict:
    """What a gate found: the release's value, the least or greatest that it allows, None
    without a previous release.
    """

    gate: str
    value: float
    limit: float | None
    holds: bool
    reason: str = ""


@dataclass(frozen=True)
class Release:
    """One published set of tables; `datasets` maps each table's name to its fingerprint and
    run_id.
    """

    release: str
    previous: str | None
    published: str
    source: str
    datasets: dict[str, dict[str, str]]
    rows: dict[str, int]
    measures: dict[str, Measure] = field(default_factory=dict)
    gates: list[Verdict] = field(default_factory=list)
    format: int = FORMAT_VERSION


def current(folder: Location) -> Release | None:
    """The release that a folder says to read; None where nothing was published. Raises
    ManifestError for a damaged file.
    """
    path = folder / CURRENT
    return read(path) if path.is_file() else None


def current_root(folder: Location) -> Location:
    """Where the datasets are: the current release's folder, or, where nothing was published,
    the folder itself.
    """
    release = current(folder)
    return folder if release is None else place_of(folder, release.release)


def place_of(folder: Location, release: str) -> Location:
    """Where a release's datasets are."""
    return folder / RELEASES / release


def read(path: Location) -> Release:
    """What one of the files says. Raises ManifestError where that is no release."""
    return read_with_content(path)[0]


def read_with_content(path: Location) -> tuple[Release, bytes]:
    """As `read`, and the bytes that say it, by which a reader sees that others have come."""
    try:
        content = typed_json.content_of(path)
        release = typed_json.build(Release, typed_json.parse(content))
        names = [release.release, *filter(None, [release.previous])]
        if release.format != FORMAT_VERSION or not all(ID.fullmatch(name) for name in names):
            raise ValueError(f"format {release.format}, release {release.release!r}")
    except ValueError as error:
        raise ManifestError(
            f"{path} is not a release of this version of Emberline ({error}); publish again"
            " elsewhere"
        ) from error
    return release, content
