"""A place on a command line: a dataset's folder, or a root."""

from emberline.datasets import manifest as manifests
from emberline.datasets import released, storage
from emberline.datasets.storage import Location
from emberline.errors import ConfigError
from emberline.runs import status as statuses


def find(folder: str) -> tuple[Location, str | None]:
    """The root, or the current release, and the name of the dataset that a folder is, None
    where it is a root itself.
    """
    path = storage.locate(folder)
    root = released.current_root(path.parent)
    if manifests.exists(root, path.name):
        return root, path.name
    inside = released.current_root(path)
    if manifests.names(inside) or (inside / statuses.FOLDER).is_dir():
        return inside, None
    if not (root / path.name).is_dir():
        raise ConfigError(
            f"{path} is not a folder; give a dataset's folder or a root, such as runs/demo/ratings"
            " or runs/demo"
        )
    return root, path.name
