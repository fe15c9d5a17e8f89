"""Encoded files to pixels of one size, a row each, or the reason why not: pictures, or whatever a
`Decode` makes pictures of.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import parked
from emberline.errors import UnusableError
from emberline.images.pixels import Pixels, channel_sums, pixel_array, pixel_column
from emberline.numeric.arrays import Array

Buffer = bytes | memoryview
Read = Callable[[str], Buffer]
# an array of a file's bytes, of which zeros at its end may be left out; raises UnusableError
Decode = Callable[[Buffer], Array]
# (n, height, width, channels) of such arrays (n, ...), and what can be played of each, if anything
Finish = Callable[[Array], tuple[Pixels, Sequence[bytes] | None]]

KNOWN = pa.schema(
    [
        ("source_file", pa.string()),
        ("position", pa.int64()),
        ("item_id", pa.string()),
        ("label", pa.string()),
        ("split", pa.string()),
        ("group", pa.string()),  # what it belongs to, such as a speaker
        ("at", pa.float64()),  # where among all it lies, from 0 to before 1
    ]
)
FILES = KNOWN.append(pa.field("path", pa.string()))
ENCODED = KNOWN.append(pa.field("content", pa.binary()))
_SUMS = [
    ("totals", pa.list_(pa.int64())),  # by channel, of the levels of all pixels
    ("squares", pa.list_(pa.int64())),
]
_JUDGED = [*KNOWN, ("bytes", pa.int64()), ("reason", pa.string()), *_SUMS]
# `pixels` are followed by what can be played, if anything
DECODED = pa.schema([*_JUDGED, ("pixels", pa.binary())])
PARKED = pa.schema([*_JUDGED, *parked.PLACE])
_BATCH_BYTES = 16 << 20


@dataclass(frozen=True)
class Decoder:
    """What makes arrays of bytes, all of a size, one by one, and then pixels of many at once,
    unless the arrays are pixels; `what` the bytes are: picture, for example.
    """

    decode: Decode
    size: tuple[int, ...]
    what: str
    finish: Finish | None = None

    @property
    def rows(self) -> int:
        """How many make a batch."""
        return rows_per_batch(self.size, 0 if self.finish is None else 3)

    def empty(self, rows: int) -> Array:
        """Room for the arrays of so many."""
        return np.zeros((rows, *self.size), np.uint8 if self.finish is None else np.float32)


def rows_per_batch(size: Sequence[int], more: int = 0) -> int:
    """How many arrays of a size, of bytes and so many more of each, make a batch."""
    return max(1, _BATCH_BYTES // (math.prod(size) * (1 + more)))


def decode_files(
    batches: Iterable[pa.RecordBatch], decoder: Decoder, read: Read
) -> Iterator[pa.RecordBatch]:
    """FILES to DECODED: every file with its pixels, or with the reason why it has none. `read`
    gives a path's bytes.
    """
    for batch in batches:
        contents = (read(path.as_py()) for path in batch["path"])
        yield from decoded(batch.select(KNOWN.names), contents, decoder)


def decode_encoded(batches: Iterable[pa.RecordBatch], decoder: Decoder) -> Iterator[pa.RecordBatch]:
    """ENCODED to DECODED, as `decode_files`."""
    for batch in batches:
        contents = (content.as_py() for content in batch["content"])
        yield from decoded(batch.select(KNOWN.names), contents, decoder)


@dataclass(frozen=True)
class Known:
    """What is known of the rows of some files: by file the split, where it has one, and which of
    all `rows` is its first.
    """

    splits: Mapping[str, str]
    firsts: Mapping[str, int]
    rows: int


def complete(
    batches: Iterable[pa.RecordBatch], known: Known, clean: Callable[[pa.Array], pa.Array]
) -> Iterator[pa.RecordBatch]:
    """Columns source_file, position, item_id, label, group and content to ENCODED; ids, labels and
    groups cleaned.
    """
    for batch in batches:
        files, position = batch["source_file"].to_pylist(), batch["position"]
        first = np.array([known.firsts[name] for name in files], np.int64)
        columns = [
            batch["source_file"],
            position,
            clean(batch["item_id"]),
            clean(batch["label"]),
            pa.array([known.splits.get(name) for name in files], pa.string()),
            clean(batch["group"]),
            (first + position.to_numpy()) / max(known.rows, 1),
            batch["content"],
        ]
        yield pa.record_batch(columns, schema=ENCODED)


def decoded(
    known: pa.RecordBatch, contents: Iterator[Buffer | UnusableError | None], decoder: Decoder
) -> Iterator[pa.RecordBatch]:
    """DECODED of KNOWN and of bytes, None for none, or the reason why they cannot be had."""
    for start in range(0, known.num_rows, decoder.rows):
        rows = known.slice(start, decoder.rows)
        arrays = decoder.empty(rows.num_rows)
        sizes, reasons = [], []
        # contents go on in the next batch
        for array, content in zip(arrays, contents, strict=False):
            sizes.append(
                0 if content is None or isinstance(content, UnusableError) else len(content)
            )
            reasons.append(_fill(array, content, decoder))
        pixels, clips = (arrays, None) if decoder.finish is None else decoder.finish(arrays)
        yield decoded_batch(rows, pa.array(sizes, pa.int64()), pixels, reasons, clips)


def _fill(array: Array, content: Buffer | UnusableError | None, decoder: Decoder) -> str | None:
    """Decode into an array of zeros of the decoder's size, as much as there is; the reason why not,
    if so.
    """
    if content is None:
        return f"no {decoder.what}"
    if isinstance(content, UnusableError):
        return str(content)
    try:
        found = decoder.decode(content)
        array[: len(found)] = found
    except UnusableError as error:
        return str(error)
    return None


def decoded_batch(
    known: pa.RecordBatch,
    sizes: pa.Array,
    pixels: Pixels,
    reasons: Sequence[str | None],
    clips: Sequence[bytes] | None = None,
) -> pa.RecordBatch:
    """DECODED of KNOWN, the sizes of files in bytes, pictures (n, height, width, channels), why
    some are none, and what can be played of them.
    """
    flat, channels = pixels.reshape(len(pixels), -1), pixels.shape[3]
    there = np.array([reason is None for reason in reasons])
    offsets = np.arange(len(pixels) + 1, dtype=np.int32) * np.int32(channels)
    sums = [
        pa.ListArray.from_arrays(offsets, each.ravel()) for each in channel_sums(flat, channels)
    ]
    said = pa.array(reasons, pa.string())
    stored = pixel_column(flat, there)
    if clips is not None:
        stored = pc.binary_join_element_wise(stored, pa.array(clips, pa.binary()), b"")
    columns = [*known.columns, sizes, said, *sums, stored]
    return pa.record_batch(columns, schema=DECODED)


def clips_apart(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Rows whose `pixels` have so many bytes, and are followed by what can be played, as long in
    all of them, to rows with that in a column of its own, `clip`, null where there is nothing.
    """
    for batch in batches:
        place, rows = batch.schema.get_field_index("pixels"), batch.num_rows
        stored = pixel_array(batch["pixels"])
        clips = pa.nulls(rows, pa.binary())
        if stored.shape[1] > size:
            is_there = np.ones(rows, bool)
            pixels = pixel_column(stored[:, :size], is_there)
            batch = batch.set_column(place, "pixels", pixels)
            clips = pixel_column(stored[:, size:], is_there)
        yield batch.append_column("clip", clips)
