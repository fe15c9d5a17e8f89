"""`emberline verify`: parts read again and compared with their hashes."""

from emberline.cli import place as places
from emberline.cli.console import tell
from emberline.cli.options import Place
from emberline.datasets import damage, disk
from emberline.datasets import manifest as manifests
from emberline.errors import ConfigError, DataError, ManifestError


def verify(place: Place) -> None:
    """Read a dataset's parts again, or those of all datasets of a root, and compare every one
    with its manifest's hash.
    """
    root, name = places.find(place)
    damaged = []
    for each in [name] if name else manifests.names(root):
        try:
            with disk.explained():
                opened = manifests.load(root, each)
                damage.verify(opened)
        except (DataError, ConfigError) as error:
            if name:
                raise
            damaged.append(each)
            tell(f"{each}: {error}")
        else:
            size = sum(part.bytes for part in opened.manifest.parts)
            tell(
                f"{each}: {len(opened.manifest.parts)} parts, {opened.rows:,} rows, {size:,} bytes,"
                " every sha256 is right"
            )
    if damaged:
        raise ManifestError(
            f"{len(damaged)} of the datasets in {root} cannot be used: {', '.join(damaged)}; see"
            " above"
        )
