"""TensorFlow for the tests of this folder, with two logical CPU devices; and shards written by
hand.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from emberline.datasets.manifest import Manifest, ProducedBy, commit, run_folder
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, fields_of

Publish = Callable[..., None]
SIDE, GROUP_ROWS = 20, 16
RUN_ID = "20250101T000000-00000000"


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """TensorFlow, with the CPU cut into two devices before anything else uses it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.experimental.enable_op_determinism()
    return tf


@pytest.fixture(scope="session")
def publish_shards() -> Publish:
    """`publish_shards(root, task, seed)`: grey pictures whose upper or lower half is bright,
    which is what is to be learnt.
    """

    def publish(root: Path, task: str = "class", seed: int = 1) -> None:
        for name, rows in {"train": 96, "val": 24, "test": 40, "all": 130}.items():
            _publish(root, f"shards_{name}", task, np.random.default_rng([seed, rows]), rows)

    return publish


def _publish(root: Path, name: str, task: str, rng: np.random.Generator, rows: int) -> None:
    label = rng.integers(0, 2, rows).astype(np.int32)
    pixels = rng.integers(0, 120, (rows, SIDE, SIDE, 1)).astype(np.uint8)
    for picture, below in zip(pixels, label, strict=True):
        picture[below * SIDE // 2 :][: SIDE // 2] += 100
    factors = (np.stack([label, 1 - label, label], axis=1) + rng.normal(0, 0.1, (rows, 3))).astype(
        np.float32
    )
    schema = TABLES[name]
    columns = {
        "item": np.arange(rows, dtype=np.int32),
        "item_id": [f"item {row}" for row in range(rows)],
        # of all pictures every other one is for measuring
        "split": ["test", "train"] * (rows // 2) if name == "shards_all" else [name[7:]] * rows,
        "label": label if task == "class" else [None] * rows,
        "factors": list(factors) if task == "factors" else [None] * rows,
        "pixels": [picture.tobytes() for picture in pixels],
    }
    table = pa.table(columns, schema=schema)
    folder = root / name / run_folder("0" * 64, RUN_ID)
    parts = [
        write_part([table.slice(first, 50)], folder, f"part-{first:05d}", schema, GROUP_ROWS)
        for first in range(0, rows, 50)
    ]
    info: dict[str, Any] = {
        "task": task,
        "height": SIDE,
        "width": SIDE,
        "channels": 1,
        "mean": [0.4],
        "std": [0.25],
    }
    info |= {"row_group_rows": GROUP_ROWS} | (
        {"classes": ["above", "below"]} if task == "class" else {}
    )
    produced_by = ProducedBy("export-shards", "0" * 64, RUN_ID)
    rank = 3 if task == "factors" else None
    commit(
        root,
        Manifest(name, "table", fields_of(schema), rows, parts, produced_by, rank=rank, info=info),
    )
