"""Damage to a dataset's parts: found by their sha256, and said of whatever cannot be read."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.manifest import Dataset, Part, remedy
from emberline.datasets.storage import Location
from emberline.errors import DataError, ManifestError


def verify(dataset: Dataset) -> None:
    """Read every part again and compare its sha256. Raises ManifestError naming the first part
    that differs.
    """
    for part in dataset.manifest.parts:
        verify_part(dataset, part)


def verify_part(dataset: Dataset, part: Part) -> None:
    """Read one part again and compare its sha256. Raises ManifestError where it differs,
    DataError where it cannot be read.
    """
    path = storage.inside(dataset.folder, part.path)
    with damage_explained(dataset, path):
        found = sha256_of(path)
    if found != part.sha256:
        raise ManifestError(
            f"{dataset.folder.name}/{part.path} was altered: its sha256 is not the manifest's; "
            f"{remedy(dataset.manifest)} with --force"
        )


def check_no_more(dataset: Dataset) -> None:
    """Raises ManifestError where the folders of the dataset's parts hold a file that the
    manifest does not list.
    """
    listed = set(dataset.paths)
    for folder in sorted({path.parent for path in listed}, key=str):
        more = sorted(set(storage.children(folder)) - listed, key=str)
        if more:
            raise ManifestError(
                f"{more[0]} is not a part of {dataset.name}: its manifest does not list it; remove"
                f" it, or {remedy(dataset.manifest)} with --force"
            )


@contextmanager
def damage_explained(dataset: Dataset, path: Location) -> Iterator[None]:
    """Raises DataError where a part cannot be read, though this user may."""
    try:
        yield
    except PermissionError:
        raise
    except (OSError, pa.ArrowInvalid) as error:
        raise damaged(dataset, path, error) from error


def damaged(dataset: Dataset, path: Location, why: object) -> DataError:
    """What to say of a part that cannot be read; `why` may have several lines."""
    return DataError(
        f"{path} cannot be read ({' '.join(str(why).split())}); {remedy(dataset.manifest)} with"
        " --force"
    )


def sha256_of(path: Location) -> str:
    """The file's sha256 as hexadecimal digits."""
    with storage.open_input(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
