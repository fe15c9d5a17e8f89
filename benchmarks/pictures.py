"""Pictures to measure on, as shards: crops of real photos where they are at hand, else
generated ones that compress alike.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from data import REAL_DATA
from PIL import Image

from emberline.cnn.shards import Shards
from emberline.datasets.manifest import Dataset, Manifest, ProducedBy, commit, load, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of
from emberline.images.pixels import pixel_column
from emberline.numeric.arrays import Int32

Pixels = npt.NDArray[np.uint8]

PHOTOS = REAL_DATA / "flower-photos"
SIDE, CHANNELS = 32, 3
SHAPE = (SIDE, SIDE, CHANNELS)
GROUP_ROWS, PART_ROWS = 1_000, 10_000
_PHOTO_SIDE = 160  # of which crops are taken
_RUN_ID = "20250101T000000-00000000"


def pictures(count: int = PART_ROWS, seed: int = 1) -> Pixels:
    """(count, 32, 32, 3), all different. zstd leaves about nine tenths of their bytes."""
    rng = np.random.default_rng(seed)
    files = sorted(PHOTOS.glob("*/*.jpg"))
    wholes = np.stack([_photo(file) for file in files]) if files else _smooth(rng, 100)
    number = rng.integers(0, len(wholes), count)
    down, right = rng.integers(0, _PHOTO_SIDE - SIDE + 1, (2, count))
    windows = np.lib.stride_tricks.sliding_window_view(wholes, (SIDE, SIDE), axis=(1, 2))
    return np.ascontiguousarray(windows[number, down, right].transpose(0, 2, 3, 1))


def publish(root: Path, name: str, pixels: Pixels, labels: Int32, classes: int = 1) -> Dataset:
    """Shards as export-shards writes them, a row per label; pictures come round again where
    they are fewer.
    """
    folder = root / name / run_folder("0" * 64, _RUN_ID)
    starts = range(0, len(labels), PART_ROWS)
    parts = [
        write_part(
            _tables(name, pixels, labels, start), folder, f"part-{at:05d}", TABLES[name], GROUP_ROWS
        )
        for at, start in enumerate(starts)
    ]
    info: dict[str, Any] = {
        "task": "class",
        "height": SIDE,
        "width": SIDE,
        "channels": CHANNELS,
        "row_group_rows": GROUP_ROWS,
    }
    info |= {
        "mean": [0.5] * CHANNELS,
        "std": [0.25] * CHANNELS,
        "classes": [str(number) for number in range(classes)],
    }
    produced_by = ProducedBy("export-shards", "0" * 64, _RUN_ID)
    commit(
        root,
        Manifest(
            name, "table", fields_of(TABLES[name]), len(labels), parts, produced_by, info=info
        ),
    )
    return load(root, name)


def in_memory(root: Path) -> tuple[Pixels, Int32]:
    """All pictures of shards_train (n, 32, 32, 3), and their labels (n,)."""
    shards = Shards(load(root, "shards_train"))
    whole = shards.empty(len(shards))
    for rows in shards.groups(range(len(shards.group_rows))):
        whole.pixels[rows.numbers], whole.targets[rows.numbers] = rows.pixels, rows.targets
    return whole.pixels, whole.targets


def _tables(name: str, pixels: Pixels, labels: Int32, start: int) -> Iterator[pa.Table]:
    """The rows of a part, a row group at a time."""
    for first in range(start, min(start + PART_ROWS, len(labels)), GROUP_ROWS):
        label = labels[first : first + GROUP_ROWS]
        rows = np.arange(first, first + len(label), dtype=np.int32)
        columns = {
            "item": rows,
            "item_id": [f"item {row}" for row in rows],
            "split": [name.removeprefix("shards_")] * len(rows),
            "label": label,
            "factors": [None] * len(rows),
            "pixels": pixel_column(
                pixels[rows % len(pixels)].reshape(len(rows), -1), np.ones(len(rows), np.bool_)
            ),
        }
        yield pa.table(columns, schema=TABLES[name])


def _photo(file: Path) -> Pixels:
    with Image.open(file) as picture:
        return np.asarray(picture.convert("RGB").resize((_PHOTO_SIDE, _PHOTO_SIDE)))


def _smooth(rng: np.random.Generator, count: int) -> Pixels:
    """Colours that run into each other, and the noise of a camera."""
    coarse = rng.integers(0, 256, (count, 10, 10, CHANNELS), dtype=np.uint8)
    size = (_PHOTO_SIDE, _PHOTO_SIDE)
    wholes = np.stack(
        [
            np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BICUBIC))
            for each in coarse
        ]
    )
    return np.clip(128 + 2 * (wholes - 128.0) + rng.normal(0, 4, wholes.shape), 0, 255).astype(
        np.uint8
    )
