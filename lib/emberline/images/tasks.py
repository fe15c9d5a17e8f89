"""What Spark's Python workers run on pictures: Arrow batches of files in, Arrow batches of
pixels out, one row per picture.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.images import containers
from emberline.images.containers import Buffer, Collection, NotThisFormatError
from emberline.images.decode import Shape, UnusablePictureError, decode, fit_arrays
from emberline.images.pixels import (
    Pixels,
    channel_sums,
    directions,
    histograms,
    pixel_array,
    pixel_column,
    pooled,
)

KNOWN = pa.schema(
    [
        ("source_file", pa.string()),
        ("position", pa.int64()),
        ("item_id", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
    ]
)
FILES = KNOWN.append(pa.field("path", pa.string()))
ENCODED = KNOWN.append(pa.field("content", pa.binary()))
CONTAINERS = pa.schema(
    [
        ("source_file", pa.string()),
        ("kind", pa.string()),  # a key of READERS
        ("prefix", pa.string()),  # of the item ids
        ("split", pa.string()),
        ("path", pa.string()),
        ("labels", pa.string()),  # the path of an IDX collection's labels, null for others
        ("piece", pa.int32()),  # which of `pieces` equal ones of the file's pictures
        ("pieces", pa.int32()),
    ]
)
DECODED = pa.schema(
    [
        *KNOWN,
        ("bytes", pa.int64()),
        ("pixels", pa.binary()),
        ("reason", pa.string()),
        ("totals", pa.list_(pa.int64())),  # by channel, of the levels of all pixels
        ("squares", pa.list_(pa.int64())),
    ]
)
_POOLED_SIDE = 16
_LEVELS = 4
_BATCH_BYTES = 16 << 20

Read = Callable[[str], Buffer]


def decode_files(
    batches: Iterable[pa.RecordBatch], shape: Shape, read: Read
) -> Iterator[pa.RecordBatch]:
    """FILES to DECODED: every picture with its pixels, or with the reason why it has none.
    `read` gives a path's bytes.
    """
    for batch in batches:
        contents = (read(path.as_py()) for path in batch["path"])
        yield from _decoded(batch.select(KNOWN.names), contents, shape)


def decode_encoded(batches: Iterable[pa.RecordBatch], shape: Shape) -> Iterator[pa.RecordBatch]:
    """ENCODED to DECODED, as `decode_files`."""
    for batch in batches:
        contents = (content.as_py() for content in batch["content"])
        yield from _decoded(batch.select(KNOWN.names), contents, shape)


def complete(
    batches: Iterable[pa.RecordBatch],
    splits: Mapping[str, str],
    clean: Callable[[pa.Array], pa.Array],
) -> Iterator[pa.RecordBatch]:
    """ENCODED without a split to ENCODED: by file, `splits` has it, and ids and labels are
    cleaned.
    """
    for batch in batches:
        split = pa.array(
            [splits.get(name) for name in batch["source_file"].to_pylist()], pa.string()
        )
        known = [
            batch["source_file"],
            batch["position"],
            clean(batch["item_id"]),
            clean(batch["label"]),
            split,
        ]
        yield pa.record_batch([*known, batch["content"]], schema=ENCODED)


def _decoded(
    known: pa.RecordBatch, contents: Iterator[Buffer | None], shape: Shape
) -> Iterator[pa.RecordBatch]:
    for start in range(0, known.num_rows, _rows_per_batch(shape)):
        rows = known.slice(start, _rows_per_batch(shape))
        pixels = np.zeros((rows.num_rows, shape.height, shape.width, shape.channels), np.uint8)
        sizes, reasons = [], []
        # contents go on in the next batch
        for picture, content in zip(pixels, contents, strict=False):
            sizes.append(len(content or b""))
            reasons.append(_fill(picture, content, shape))
        yield _batch(rows, pa.array(sizes, pa.int64()), pixels, reasons)


def _fill(picture: Pixels, content: Buffer | None, shape: Shape) -> str | None:
    """Decode into (height, width, channels); the reason why not, if so."""
    if content is None:
        return "no picture"
    try:
        picture[:] = decode(bytes(content), shape)
    except UnusablePictureError as error:
        return str(error)
    return None


def _rows_per_batch(shape: Shape) -> int:
    return max(1, _BATCH_BYTES // (shape.height * shape.width * shape.channels))


def _batch(
    known: pa.RecordBatch, sizes: pa.Array, pixels: Pixels, reasons: Sequence[str | None]
) -> pa.RecordBatch:
    """DECODED of KNOWN, pictures (n, height, width, channels), and why some are none."""
    flat, channels = pixels.reshape(len(pixels), -1), pixels.shape[3]
    there = np.array([reason is None for reason in reasons])
    offsets = np.arange(len(pixels) + 1, dtype=np.int32) * np.int32(channels)
    sums = [
        pa.ListArray.from_arrays(offsets, each.ravel()) for each in channel_sums(flat, channels)
    ]
    columns = [
        *known.columns,
        sizes,
        pixel_column(flat, there),
        pa.array(reasons, pa.string()),
        *sums,
    ]
    return pa.record_batch(columns, schema=DECODED)


def explode_containers(
    batches: Iterable[pa.RecordBatch], shape: Shape, names: tuple[str, ...], read: Read
) -> Iterator[pa.RecordBatch]:
    """CONTAINERS to DECODED: every picture of pieces of collections' files; a label is its entry in
    `names`, or its number.

    A file that is not of its format is one row, with the reason, of its first piece. `read` gives a
    path's bytes.
    """
    for batch in batches:
        for file in batch.to_pylist():
            yield from _exploded(file, shape, names, read)


def _exploded(
    file: dict[str, Any], shape: Shape, names: tuple[str, ...], read: Read
) -> Iterator[pa.RecordBatch]:
    content = read(file["path"])
    try:
        collection = READERS[file["kind"]](
            content, None if file["labels"] is None else read(file["labels"])
        )
    except NotThisFormatError as error:
        if file["piece"] == 0:
            yield _refused(file, len(content), str(error), shape)
        return
    start, end = (
        len(collection.labels) * edge // file["pieces"]
        for edge in (file["piece"], file["piece"] + 1)
    )
    for at in range(start, end, _rows_per_batch(shape)):
        places = range(at, min(at + _rows_per_batch(shape), end))
        pictures = collection.pixels[places.start : places.stop]
        ids = [f"{file['prefix']}-{place:05d}" for place in places]
        labels = [
            names[label] if label < len(names) else str(label)
            for label in collection.labels[places.start : places.stop]
        ]
        known = _known(file, places, ids, labels)
        sizes = pa.array(np.full(len(places), pictures[0].nbytes))
        yield _batch(known, sizes, fit_arrays(pictures, shape), [None] * len(places))


def _refused(file: dict[str, Any], size: int, reason: str, shape: Shape) -> pa.RecordBatch:
    nothing = np.zeros((1, shape.height, shape.width, shape.channels), np.uint8)
    return _batch(
        _known(file, range(1), [None], [None]), pa.array([size], pa.int64()), nothing, [reason]
    )


def _known(
    file: dict[str, Any], places: range, ids: Sequence[str | None], labels: Sequence[str | None]
) -> pa.RecordBatch:
    columns = [
        [file["source_file"]] * len(places),
        list(places),
        ids,
        labels,
        [file["split"]] * len(places),
    ]
    return pa.record_batch(
        [pa.array(column, field.type) for column, field in zip(columns, KNOWN, strict=True)],
        schema=KNOWN,
    )


def _idx(content: Buffer, labels: Buffer | None) -> Collection:
    pictures = containers.read_idx(content)
    if labels is None:
        raise NotThisFormatError("the file of its labels is missing")
    numbers = containers.read_idx(labels)
    if pictures.ndim != 3 or numbers.shape != pictures.shape[:1]:
        raise NotThisFormatError(
            f"pictures of shape {pictures.shape} do not go with labels of shape {numbers.shape}"
        )
    if len(pictures) and not pictures.size:
        raise NotThisFormatError("no pixels")
    return Collection(numbers, pictures)


READERS: dict[str, Callable[[Buffer, Buffer | None], Collection]] = {
    "cifar10-binary": lambda content, labels: containers.read_cifar10_binary(content),
    "cifar10-pickle": lambda content, labels: containers.read_cifar10_pickle(content),
    "idx": _idx,
}


def plain_features(
    batches: Iterable[pa.RecordBatch], shape: tuple[int, int, int]
) -> Iterator[pa.RecordBatch]:
    """Columns item, split and pixels to item and those of cf/plain's SEEN, of the pictures that are
    for training, choosing or testing: what a model without a network sees.
    """
    for batch in batches:
        batch = batch.filter(pc.not_equal(batch["split"], "none"))
        pixels = pixel_array(batch["pixels"]).reshape(-1, *shape)
        averaged = pooled(pixels, _POOLED_SIDE)
        shares = histograms(pixels, _LEVELS)
        columns = [averaged, directions(averaged), directions(shares), np.sqrt(shares)]
        lists = [pa.array(list(rows), pa.list_(pa.float32())) for rows in columns]
        names = ["item", "split", "pixels", "pixel_direction", "colour_direction", "colours"]
        yield pa.record_batch([batch["item"], batch["split"], *lists], names)
