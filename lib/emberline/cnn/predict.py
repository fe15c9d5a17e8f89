"""The stage predict-items: classes or factors, and the embedding, of every item with a picture,
batch by batch.
"""

from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tensorflow as tf

from emberline.cnn.model import with_embedding
from emberline.cnn.model_file import load_model
from emberline.cnn.shards import Rows, Shards
from emberline.datasets.facts import Classes, Task
from emberline.datasets.manifest import Part
from emberline.datasets.parts import write_part
from emberline.datasets.schema import TABLES, TOP_CLASSES
from emberline.models import CNN
from emberline.numeric.arrays import Float32
from emberline.runs.stage_run import StageRun
from emberline.sections.predict import PredictConfig


def run(run: StageRun[PredictConfig]) -> None:
    """Load the model, read every shard once, and write both tables."""
    config = run.settings
    model = with_embedding(load_model(run.inputs[CNN.name]))
    shards = Shards(run.inputs["shards_all"])
    shards.check_taken_by(model)
    manifest = shards.dataset.manifest
    is_class = manifest.facts(Task).task == "class"
    predict = tf.function(partial(model, training=False), autograph=False, reduce_retracing=True)
    name = "predicted_classes" if is_class else "predicted_factors"
    to_table = classes_table if is_class else factors_table
    parts: dict[str, list[Part]] = {name: [], "embeddings": []}
    done = 0
    for number, rows in enumerate(_parts(shards)):
        tables: dict[str, list[pa.Table]] = {name: [], "embeddings": []}
        for items, group in rows:
            outputs, embedding = _in_batches(predict, group.pixels, config.batch_size)
            tables[name].append(to_table(items, outputs))
            tables["embeddings"].append(
                _lists(items, embedding)
                .rename_columns(["item", "embedding"])
                .cast(TABLES["embeddings"])
            )
            done += len(group)
            run.control.progress(f"{done:,} of {len(shards):,} pictures")
        for table, found in tables.items():
            parts[table].append(
                write_part(found, run.outputs.folder(table), f"part-{number:05d}", TABLES[table])
            )
    classes = (manifest.facts(Classes),) if is_class else ()
    run.outputs.add(name, parts[name], *classes, rank=run.inputs[CNN.name].manifest.rank)
    run.outputs.add("embeddings", parts["embeddings"])


def _parts(shards: Shards) -> Iterator[Iterator[tuple[Any, Rows]]]:
    """The items and rows of each row group, part by part."""
    groups = enumerate(shards.groups(range(len(shards.group_rows))))
    for part in shards.dataset.manifest.parts:
        yield ((shards.items(number), rows) for number, rows in islice(groups, part.row_groups))


def _in_batches(predict: Any, pixels: npt.NDArray[np.uint8], size: int) -> tuple[Float32, Float32]:
    pieces = [
        predict(tf.convert_to_tensor(pixels[first : first + size]))
        for first in range(0, len(pixels), size)
    ]
    outputs, embedding = (
        np.concatenate([piece[side].numpy() for piece in pieces]) for side in (0, 1)
    )
    return outputs, embedding


def classes_table(items: pa.Array, logits: Float32) -> pa.Table:
    """Items and logits (n, classes) as rows of PREDICTED_CLASSES; of equal logits the smaller
    class comes first.
    """
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    best = np.argsort(-logits, axis=1, kind="stable")[:, :TOP_CLASSES].astype(np.int32)
    probability = np.take_along_axis(shifted, best[:, :1].astype(np.int64), axis=1)[
        :, 0
    ] / shifted.sum(axis=1)
    columns = [items, best[:, 0], probability.astype(np.float32), pa.array(list(best))]
    return pa.table(columns, names=TABLES["predicted_classes"].names).cast(
        TABLES["predicted_classes"]
    )


def factors_table(items: pa.Array, factors: Float32) -> pa.Table:
    """Items and factors (n, rank) as rows of PREDICTED_FACTORS."""
    lists = _lists(items, factors)
    names = pa.array([CNN.name] * len(items), pa.string())
    return lists.add_column(0, "model", names).cast(TABLES["predicted_factors"])


def _lists(items: pa.Array, matrix: Float32) -> pa.Table:
    """Columns item and factors, a row of the matrix each."""
    offsets = np.arange(len(matrix) + 1, dtype=np.int32) * matrix.shape[1]
    lists = pa.ListArray.from_arrays(offsets, np.ascontiguousarray(matrix, np.float32).ravel())
    return pa.table({"item": items, "factors": lists})
