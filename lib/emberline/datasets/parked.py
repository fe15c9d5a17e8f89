"""A column of large values in files of its own, while the rows that they belong to are sorted out.

A task parks the column of all its rows in one file, one value behind the other; the rows get the
place instead, and the value's checksum. A task that is repeated leaves a file that no row names.
"""

import uuid
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.rows import Task
from emberline.datasets.storage import Location
from emberline.errors import DataError
from emberline.numeric.arrays import Int64

PLACE = pa.schema(
    [
        ("parked_file", pa.string()),
        ("parked_at", pa.int64()),  # bytes from the file's begin
        ("parked_bytes", pa.int64()),  # null of a value that is
        ("parked_sum", pa.int64()),
    ]
)
_OPEN_FILES = 64


def park(
    batches: Iterator[pa.RecordBatch], task: Task, column: str, folder: str
) -> Iterator[pa.RecordBatch]:
    """What a task makes of the batches, with PLACE instead of the binary column, whose values are
    in a new file in the folder.
    """
    storage.make_folder(storage.locate(folder))
    name, end = f"{uuid.uuid4().hex}.bin", 0
    with ExitStack() as open_files:
        file = None
        for batch in task(batches):
            if file is None:
                file = open_files.enter_context(storage.create(storage.locate(folder) / name))
            content, ends = _content(batch[column])
            file.write(content)
            sums = [zlib.crc32(content[start:stop]) for start, stop in pairwise(ends.tolist())]
            sizes = pa.array(np.diff(ends), mask=batch[column].is_null().to_numpy(False))
            place = [pa.repeat(name, batch.num_rows), end + ends[:-1], sizes, pa.array(sums)]
            end += len(content)
            others = batch.drop_columns([column])
            schema = pa.schema([*others.schema, *PLACE])
            yield pa.record_batch([*others.columns, *place], schema=schema)


def _content(values: pa.Array) -> tuple[memoryview, Int64]:
    """The bytes of binary values, one behind the other, and where each ends, from 0."""
    ends = np.frombuffer(values.buffers()[1], np.int32)
    ends = ends[values.offset : values.offset + len(values) + 1].astype(np.int64)
    return memoryview(values.buffers()[2] or b"")[ends[0] : ends[-1]], ends - ends[0]


def fetch(
    batches: Iterator[pa.RecordBatch], column: str, folder: str, rows: int
) -> Iterator[pa.RecordBatch]:
    """The batches, cut into so many rows, with their values instead of PLACE.

    What lies one behind the other is read at once. Raises DataError for a file that is gone or
    damaged.
    """
    with ExitStack() as stack:
        lot = _Lot(storage.locate(folder), stack)
        for batch in batches:
            for start in range(0, batch.num_rows, rows):
                chunk = batch.slice(start, rows)
                yield chunk.drop_columns(PLACE.names).append_column(column, _values(chunk, lot))


@dataclass
class _Lot:
    """The files of a folder, each opened when it is first read, and not too many at once."""

    folder: Location
    stack: ExitStack
    files: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str, start: int, size: int) -> bytes:
        """Raises DataError where a file has no so many bytes from there."""
        path = self.folder / name
        with _damage_explained(path):
            if name not in self.files:
                if len(self.files) == _OPEN_FILES:
                    self.stack.close()
                    self.files.clear()
                self.files[name] = self.stack.enter_context(storage.open_input(path))
            self.files[name].seek(start)
            content: bytes = self.files[name].read(size)
            if len(content) != size:
                raise OSError("it has been cut")
            return content


def _values(rows: pa.RecordBatch, lot: _Lot) -> pa.Array:
    """The values of rows: read in the order in which they lie, and put into that of the rows."""
    names = rows["parked_file"].dictionary_encode()
    file, at = names.indices.to_numpy(), rows["parked_at"].to_numpy()
    size = rows["parked_bytes"].fill_null(0).to_numpy()
    order = np.lexsort((at, file))
    file, at, size = file[order], at[order], size[order]
    begins = (np.diff(file, prepend=-1) != 0) | (at != np.append(-1, (at + size)[:-1]))
    runs = [*np.flatnonzero(begins).tolist(), len(order)]
    content = b"".join(
        lot.read(names.dictionary[int(file[low])].as_py(), int(at[low]), int(size[low:high].sum()))
        for low, high in pairwise(runs)
    )
    ends = np.append(0, np.cumsum(size))
    _check(content, ends, rows["parked_sum"].to_numpy()[order], lot.folder, names.take(order))
    found = _binary(content, ends, rows["parked_bytes"].is_valid().to_numpy(False)[order])
    if (np.diff(order) == 1).all():
        return found  # as they lie
    return found.take(pa.array(np.argsort(order)))


def _check(content: bytes, ends: Int64, sums: Int64, folder: Location, names: pa.Array) -> None:
    view = memoryview(content)
    for row, (start, stop) in enumerate(pairwise(ends.tolist())):
        if zlib.crc32(view[start:stop]) != sums[row]:
            with _damage_explained(folder / names[row].as_py()):
                raise OSError("its checksum is not the one that was written")


def _binary(content: bytes, ends: Int64, is_there: Any) -> pa.Array:
    bits = pa.py_buffer(np.packbits(is_there, bitorder="little"))
    offsets = pa.py_buffer(ends.astype(np.int32))
    buffers = [bits, offsets, pa.py_buffer(content)]
    return pa.Array.from_buffers(pa.binary(), len(ends) - 1, buffers)


@contextmanager
def _damage_explained(path: Location) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())}); run the stage again"
        ) from error
