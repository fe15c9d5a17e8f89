"""Factors in fewer bytes, as they are published: items' as int8 with a scale per row and four bits
more of each number, users' as float16. `cf/quantized.py` says what is lost.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from emberline.cf.blocks import matrix_of
from emberline.cf.quantized import Quantized
from emberline.datasets import facts, rows
from emberline.datasets.manifest import Dataset, Manifest, run_folder
from emberline.datasets.parts import write_rows
from emberline.datasets.rows import Task
from emberline.datasets.schema import QUANTIZED_ITEM_FACTORS, QUANTIZED_USER_FACTORS, fields_of
from emberline.datasets.storage import Location
from emberline.models import quantized


def write(dataset: Dataset, place: Location) -> Manifest:
    """Write a table of factors in fewer bytes below a place; its manifest, which is not committed
    yet. Raises DataError for a damaged part.
    """
    name = str(quantized(dataset.name))
    schema, task = _FORMS[name]
    source, by = dataset.manifest, dataset.manifest.produced_by
    batches = task(rows.batches(dataset, [schema.names[0], "factors"]))
    folder = place / name / run_folder(by.fingerprint, by.run_id)
    part = write_rows(batches, folder, "part-00000", schema)
    info = facts.merged([facts.Quantized(dataset.name)]) | source.info
    return replace(
        source, name=name, fields=fields_of(schema), parts=[part] if part else [], info=info
    )


def _items(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        few = Quantized.of(matrix_of(batch["factors"], batch.num_rows))
        binary = (_binary(codes) for codes in (few.codes.view(np.uint8), few.rest))
        yield pa.record_batch(
            [batch["item"], few.scales, *binary], names=QUANTIZED_ITEM_FACTORS.names
        )


def _binary(rows: np.ndarray) -> pa.Array:
    """Bytes (n, d), a value for each row."""
    width = rows.shape[1]
    data = pa.py_buffer(np.ascontiguousarray(rows).tobytes())
    fixed = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(rows), [None, data])
    return fixed.cast(pa.binary())


def _users(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        half = matrix_of(batch["factors"], batch.num_rows).astype(np.float16)
        ends = pa.array(np.arange(len(half) + 1, dtype=np.int32) * half.shape[1])
        lists = pa.ListArray.from_arrays(ends, pa.array(half.ravel()))
        yield pa.record_batch([batch["user"], lists], names=QUANTIZED_USER_FACTORS.names)


_FORMS: dict[str, tuple[pa.Schema, Task]] = {
    "quantized_item_factors": (QUANTIZED_ITEM_FACTORS, _items),
    "quantized_user_factors": (QUANTIZED_USER_FACTORS, _users),
}
