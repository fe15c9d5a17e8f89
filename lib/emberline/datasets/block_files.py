"""Rows that hold a few large binary values, each row in a file of its own, which executors write and read without Spark.

For what one run keeps between its jobs: blocks of ratings and factors, many of which do not fit a JVM's memory. A task that is
repeated leaves a file that nobody names; only what a successful task returned is read.
"""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.storage import Location
from emberline.errors import DataError

FILE = "file"


def store(batches: Iterator[pa.RecordBatch], folder: Location, kept: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Write every row to a new file below a folder; yields some of its columns, and the file's name as FILE."""
    storage.make_folder(folder)
    for batch in batches:
        for at in range(batch.num_rows):
            row = batch.slice(at, 1)
            name = f"{uuid.uuid4().hex}.arrow"
            with storage.create(folder / name) as file:
                with pa.ipc.new_file(file, row.schema) as writer:
                    writer.write_batch(row)
                storage.sync_file(file)
            yield row.select(list(kept)).append_column(FILE, pa.array([name]))


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
                return pa.ipc.open_file(file.read()).get_batch(0)
        except (OSError, pa.ArrowInvalid) as error:
            raise DataError(f"{path} cannot be read ({error}); remove its folder, and run the pipeline again") from error

    def load(self, numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The rows of the blocks whose numbers are the one column given."""
        for batch in numbers:
            rows = (self.row(number) for number in batch.column(0).to_pylist())
            yield from (row for row in rows if row is not None)
