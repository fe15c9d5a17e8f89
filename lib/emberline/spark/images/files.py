"""Picture files, one picture each, and the labels that their folders are."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from emberline.cleaning import texts
from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError
from emberline.images import tasks
from emberline.sections.images import ImagesConfig
from emberline.spark.flow import SparkFlow

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"}
FILE_COST = 20_000  # bytes that take as long to decode as it takes to open a file and begin


def file_frame(
    spark: SparkSession, files: list[RawFile], config: ImagesConfig, splits: Sequence[str | None]
) -> DataFrame:
    """Picture files as FILES; what is no picture by its content is found when it is decoded."""
    by_folder = config.labels == "folder"
    clean = partial(texts.clean, rules=config.text_rules())
    relative = [file.relative for file in files]
    folders, names = zip(*(path.rpartition("/")[::2] for path in relative), strict=True)
    ids = relative if by_folder else [name.rpartition(".")[0] or name for name in names]
    labels = [folder.rpartition("/")[2] or None if by_folder else None for folder in folders]
    columns = {
        "source_file": relative,
        "position": [0] * len(files),
        "item_id": clean(pa.array(ids, pa.string())),
        "label": clean(pa.array(_named(labels, config.label_names), pa.string())),
        "split": list(splits),
        "path": [file.uri for file in files],
    }
    costs = np.array([file.size + FILE_COST for file in files], np.float64)
    return SparkFlow(spark).deal(pa.table(columns, tasks.FILES), costs).frame


def _named(labels: list[str | None], names: Sequence[str]) -> list[str | None]:
    """Folders called 0, 1, ... by their names. Raises ConfigError for others."""
    for label in filter(None, labels if names else ()):
        if not (label.isdecimal() and int(label) < len(names)):
            raise ConfigError(
                f"images.label_names has {len(names)} names, for folders called 0 to"
                f" {len(names) - 1}; found {label!r}; remove it"
            )
    return [names[int(label)] if label and names else label for label in labels]
