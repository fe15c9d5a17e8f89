"""Files of one picture each, and the labels that their folders are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from emberline.cleaning import media, texts
from emberline.cleaning.listed import label_in, stem_of
from emberline.cleaning.texts import TextRules
from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError
from emberline.flow.rows import Flow, Rows

FILE_COST = 20_000  # bytes that take as long to decode as it takes to open a file and begin


@dataclass(frozen=True)
class Naming:
    """What ids and labels are: by their folders, files have the folder as label and the path as
    id; else the name without its extension is the id, and the group of `label`, a pattern, or else
    all that it finds in that name, is the label. Labels that are numbers have `label_names`.
    `section` is the one of the pipeline file that says so.
    """

    by_folder: bool
    label_names: Sequence[str]
    rules: TextRules
    section: str
    label: str | None = None


def file_rows(
    flow: Flow, files: list[RawFile], naming: Naming, splits: Sequence[str | None]
) -> Rows:
    """media.FILES; what a file is not by its content is found when it is decoded."""
    clean = partial(texts.clean, rules=naming.rules)
    relative = [file.relative for file in files]
    folders, names = zip(*(path.rpartition("/")[::2] for path in relative), strict=True)
    by_folder = naming.by_folder
    ids = relative if by_folder else list(map(stem_of, names))
    labels = [folder.rpartition("/")[2] or None if by_folder else None for folder in folders]
    if naming.label is not None:
        labels = [label_in(name, naming.label) for name in names]
    columns = {
        "source_file": relative,
        "position": [0] * len(files),
        "item_id": clean(pa.array(ids, pa.string())),
        "label": clean(pa.array(_named(labels, naming), pa.string())),
        "split": list(splits),
        "group": [None] * len(files),
        "at": np.arange(len(files)) / max(len(files), 1),
        "path": [file.uri for file in files],
    }
    costs = np.array([file.size + FILE_COST for file in files], np.float64)
    return flow.deal(pa.table(columns, media.FILES), costs)


def _named(labels: list[str | None], naming: Naming) -> list[str | None]:
    """Folders called 0, 1, ... by their names. Raises ConfigError for others."""
    names = naming.label_names
    for label in filter(None, labels if names else ()):
        if not (label.isdecimal() and int(label) < len(names)):
            raise ConfigError(
                f"{naming.section}.label_names has {len(names)} names, for folders called 0 to"
                f" {len(names) - 1}; found {label!r}; remove it"
            )
    return [names[int(label)] if label and names else label for label in labels]
