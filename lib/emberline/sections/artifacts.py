"""Files of an artifact under the root, as a pipeline file names them: `dataset:shop/events.csv`."""

DATASET_PREFIX = "dataset:"


def split_dataset_path(path: str) -> tuple[str, str] | None:
    """`dataset:shop/events.csv` as ("shop", "events.csv"): files of an artifact under the root;
    None for any other path.
    """
    if not path.startswith(DATASET_PREFIX):
        return None
    name, _, pattern = path.removeprefix(DATASET_PREFIX).partition("/")
    return name, pattern or "*"


def artifacts_of(paths: tuple[str, ...]) -> tuple[str, ...]:
    """The artifacts that some of the paths name."""
    return tuple(dict.fromkeys(source[0] for path in paths if (source := split_dataset_path(path))))
