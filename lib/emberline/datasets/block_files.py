"""Rows that hold a few large binary values, each row in a file of its own, which executors write
and read without Spark.

For what one run keeps between its jobs: blocks of ratings and factors, many of which do not fit a
JVM's memory. A task that is repeated leaves a file that nobody names; only what a successful task
returned is read. Behind Arrow's file stands its checksum.
"""

import io
import uuid
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import DataError

FILE = "file"
_SUM_BYTES = 4


def store(
    batches: Iterator[pa.RecordBatch], folder: Location, kept: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    """Write every row to a new file below a folder; yields some of its columns, and the file's
    name as FILE.
    """
    storage.make_folder(folder)
    for batch in batches:
        for at in range(batch.num_rows):
            row = batch.slice(at, 1)
            name = f"{uuid.uuid4().hex}.arrow"
            with storage.create(folder / name) as file:
                summed = _SummedFile(file)
                with pa.ipc.new_file(summed, row.schema) as writer:
                    writer.write_batch(row)
                file.write(summed.sum.to_bytes(_SUM_BYTES, "little"))
                storage.sync_file(file)
            yield row.select(list(kept)).append_column(FILE, pa.array([name]))


class _SummedFile(io.RawIOBase):
    """Passes on what is written to a file, and knows its checksum."""

    def __init__(self, file: Any) -> None:
        super().__init__()
        self._file = file
        self.sum = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes | memoryview, /) -> int:  # type: ignore[override]
        self.sum = zlib.crc32(data, self.sum)
        size: int = self._file.write(data)
        return size


@dataclass(frozen=True)
class BlockFiles:
    """The files of a folder that are rows, by the numbers of their blocks."""

    folder: Location
    names: dict[int, str]

    def row(self, number: int) -> pa.RecordBatch | None:
        """One block's row, if there is one. Raises DataError for a damaged file."""
        if number not in self.names:
            return None
        path = storage.inside(self.folder, self.names[number])
        try:
            with storage.open_input(path) as file:
                content = memoryview(file.read())
            if zlib.crc32(content[:-_SUM_BYTES]) != int.from_bytes(content[-_SUM_BYTES:], "little"):
                raise OSError("its checksum is not the one that was written")
            return pa.ipc.open_file(content[:-_SUM_BYTES]).get_batch(0)
        except (OSError, ValueError, pa.ArrowException) as error:
            why = " ".join(str(error).split())
            raise DataError(
                f"{path} cannot be read ({why}); remove its folder, and run the pipeline again"
            ) from error

    def load(self, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of the blocks whose numbers are the one column given."""
        for batch in numbers:
            rows = (self.row(number) for number in batch.column(0).to_pylist())
            yield from (row for row in rows if row is not None)
