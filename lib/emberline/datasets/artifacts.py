"""Files of artifacts, read whole and checked."""

import hashlib

from emberline.datasets.damage import damage_explained
from emberline.datasets.manifest import Dataset, remedy
from emberline.errors import ManifestError


def content_of(artifact: Dataset, name: str) -> bytes:
    """The bytes of one of its files, checked. Raises ManifestError where it is not there, or was
    altered.
    """
    parts = zip(artifact.manifest.parts, artifact.paths, strict=True)
    found = next(((part, path) for part, path in parts if path.name == name), None)
    if found is None:
        raise ManifestError(f"{artifact.folder} has no {name}; {remedy(artifact.manifest)}")
    part, path = found
    with damage_explained(artifact, path):
        content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != part.sha256:
        raise ManifestError(
            f"{path} was altered: its sha256 is not the manifest's; {remedy(artifact.manifest)}"
        )
    return content
