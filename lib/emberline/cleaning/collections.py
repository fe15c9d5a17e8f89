"""Files of the classic picture collections to pixels, a row for each picture."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.cleaning.media import KNOWN, Buffer, Read, decoded_batch, rows_per_batch
from emberline.images import containers
from emberline.images.containers import Collection, NotThisFormatError
from emberline.images.decode import Shape, fit_arrays

CONTAINERS = pa.schema(
    [
        ("source_file", pa.string()),
        ("kind", pa.string()),  # a key of READERS
        ("prefix", pa.string()),  # of the item ids
        ("split", pa.string()),
        ("path", pa.string()),
        ("labels", pa.string()),  # the path of an IDX collection's labels, null for others
        ("begin", pa.float64()),  # where among all its pictures begin and end
        ("end", pa.float64()),
        ("piece", pa.int32()),  # which of `pieces` equal ones of the file's pictures
        ("pieces", pa.int32()),
    ]
)


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
    count, step = len(collection.labels), rows_per_batch(shape.size)
    start, end = (count * edge // file["pieces"] for edge in (file["piece"], file["piece"] + 1))
    for at in range(start, end, step):
        places = range(at, min(at + step, end))
        pictures = collection.pixels[places.start : places.stop]
        ids = [f"{file['prefix']}-{place:05d}" for place in places]
        labels = [
            names[label] if label < len(names) else str(label)
            for label in collection.labels[places.start : places.stop]
        ]
        known = _known(file, places, count, ids, labels)
        sizes = pa.array(np.full(len(places), pictures[0].nbytes))
        yield decoded_batch(known, sizes, fit_arrays(pictures, shape), [None] * len(places))


def _refused(file: dict[str, Any], size: int, reason: str, shape: Shape) -> pa.RecordBatch:
    nothing, known = np.zeros((1, *shape.size), np.uint8), _known(file, range(1), 1, [None], [None])
    return decoded_batch(known, pa.array([size], pa.int64()), nothing, [reason])


def _known(
    file: dict[str, Any],
    places: range,
    count: int,
    ids: Sequence[str | None],
    labels: Sequence[str | None],
) -> pa.RecordBatch:
    """Of some of a file's `count` pictures."""
    begin, end = file["begin"], file["end"]
    columns = [
        [file["source_file"]] * len(places),
        list(places),
        ids,
        labels,
        [file["split"]] * len(places),
        [None] * len(places),
        [begin + (end - begin) * place / count for place in places],
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
