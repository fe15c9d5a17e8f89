"""What Spark's Python workers run on pictures: Arrow batches of files in, Arrow batches of pixels out, one row per picture."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.images import containers
from emberline.images.containers import NotThisFormatError, Record
from emberline.images.decode import Shape, UnusablePictureError, decode, fit_array
from emberline.images.pixels import directions, histograms, pixel_array, pooled

ENCODED = pa.schema(
    [
        ("source_file", pa.string()),
        ("position", pa.int64()),
        ("item_id", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("content", pa.binary()),
    ]
)
CONTAINERS = pa.schema(
    [
        ("source_file", pa.string()),
        ("kind", pa.string()),  # a key of READERS
        ("prefix", pa.string()),  # of the item ids
        ("split", pa.string()),
        ("content", pa.binary()),
        ("labels", pa.binary()),  # the file of an IDX collection's labels, null for others
    ]
)
DECODED = pa.schema([*ENCODED.remove(5), ("bytes", pa.int64()), ("pixels", pa.binary()), ("reason", pa.string())])
CHANNEL_SUMS = pa.schema([("pictures", pa.int64()), ("totals", pa.list_(pa.float64())), ("squares", pa.list_(pa.float64()))])
FEATURES = pa.schema(
    [
        ("item", pa.int32()),
        ("split", pa.string()),
        ("pixels", pa.list_(pa.float32())),  # averaged over squares
        ("pixel_direction", pa.list_(pa.float32())),  # of length 1: brightness and contrast do not count
        ("colour_direction", pa.list_(pa.float32())),
    ]
)
_POOLED_SIDE = 16
_LEVELS = 4
_BATCH_BYTES = 16 << 20

Row = dict[str, Any]


def decode_files(batches: Iterable[pa.RecordBatch], shape: Shape) -> Iterator[pa.RecordBatch]:
    """ENCODED to DECODED: every picture with its pixels, or with the reason why it has none."""
    yield from _batched(_decoded(row, shape) for batch in batches for row in batch.to_pylist())


def _decoded(row: Row, shape: Shape) -> Row:
    content = row.pop("content")
    if content is None:
        return row | {"bytes": 0, "pixels": None, "reason": "no picture"}
    try:
        pixels, reason = decode(content, shape).tobytes(), None
    except UnusablePictureError as error:
        pixels, reason = None, str(error)
    return row | {"bytes": len(content), "pixels": pixels, "reason": reason}


def explode_containers(batches: Iterable[pa.RecordBatch], shape: Shape, names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """CONTAINERS to DECODED: every picture of the collections' files; a label is its entry in `names`, or its number.

    A file that is not of its format is one row, with the reason.
    """
    yield from _batched(row for batch in batches for file in batch.to_pylist() for row in _exploded(file, shape, names))


def _exploded(file: Row, shape: Shape, names: tuple[str, ...]) -> Iterator[Row]:
    row = {"source_file": file["source_file"], "split": file["split"], "position": 0, "item_id": None, "label": None}
    try:
        for record in READERS[file["kind"]](file["content"], file["labels"]):
            item_id = f"{file['prefix']}-{record.position:05d}"
            pixels = fit_array(record.pixels, shape).tobytes()
            row |= {"position": record.position, "item_id": item_id, "label": _name(record.label, names)}
            yield row | {"bytes": record.pixels.nbytes, "pixels": pixels, "reason": None}
    except (NotThisFormatError, UnusablePictureError) as error:
        yield row | {"bytes": len(file["content"]), "pixels": None, "reason": str(error)}


def _name(label: int, names: tuple[str, ...]) -> str:
    return names[label] if label < len(names) else str(label)


def _idx_records(content: bytes, labels: bytes | None) -> Iterator[Record]:
    pictures = containers.read_idx(content)
    if labels is None:
        raise NotThisFormatError("the file of its labels is missing")
    numbers = containers.read_idx(labels)
    if pictures.ndim != 3 or numbers.shape != pictures.shape[:1]:
        raise NotThisFormatError(f"pictures of shape {pictures.shape} do not go with labels of shape {numbers.shape}")
    for position, (pixels, label) in enumerate(zip(pictures, numbers, strict=True)):
        yield Record(position, int(label), pixels)


READERS: dict[str, Callable[[bytes, bytes | None], Iterator[Record]]] = {
    "cifar10-binary": lambda content, labels: containers.read_cifar10_binary(content),
    "cifar10-pickle": lambda content, labels: containers.read_cifar10_pickle(content),
    "idx": _idx_records,
}


def _batched(rows: Iterable[Row]) -> Iterator[pa.RecordBatch]:
    """Rows as batches of bounded size."""
    waiting: list[Row] = []
    size = 0
    for row in rows:
        waiting.append(row)
        size += len(row["pixels"] or b"")
        if size >= _BATCH_BYTES or len(waiting) >= 10_000:
            yield pa.RecordBatch.from_pylist(waiting, schema=DECODED)
            waiting, size = [], 0
    if waiting:
        yield pa.RecordBatch.from_pylist(waiting, schema=DECODED)


def channel_sums(batches: Iterable[pa.RecordBatch], channels: int) -> Iterator[pa.RecordBatch]:
    """Column pixels to rows of CHANNEL_SUMS: per batch, the sums over its pictures of each channel's mean and mean square."""
    for batch in batches:
        pixels = pixel_array(batch.column(0)).reshape(batch.num_rows, -1, channels).astype(np.float32) / 255
        means, squares = pixels.mean(axis=1, dtype=np.float64), np.square(pixels).mean(axis=1, dtype=np.float64)
        row = {"pictures": batch.num_rows, "totals": means.sum(axis=0).tolist(), "squares": squares.sum(axis=0).tolist()}
        yield pa.RecordBatch.from_pylist([row], schema=CHANNEL_SUMS)


def plain_features(batches: Iterable[pa.RecordBatch], shape: tuple[int, int, int]) -> Iterator[pa.RecordBatch]:
    """Columns item, split and pixels to FEATURES: what a model without a network sees, averaged pixels and a colour histogram."""
    for batch in batches:
        pixels = pixel_array(batch["pixels"]).reshape(-1, *shape)
        averaged = pooled(pixels, _POOLED_SIDE)
        columns = [averaged, directions(averaged), directions(histograms(pixels, _LEVELS))]
        yield pa.record_batch([batch["item"], batch["split"], *map(list, columns)], schema=FEATURES)
