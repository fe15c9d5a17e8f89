"""A column of large values in files of its own, while Spark sorts out the rows that they belong to.

A task parks the column of all its rows in one file, batch by batch; the rows get the place instead,
and the batch's checksum, which Arrow's files have not. A task that is repeated leaves a file that
no row names.
"""

import uuid
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.rows import Task
from emberline.errors import DataError

PLACE = pa.schema(
    [
        ("parked_file", pa.string()),
        ("parked_batch", pa.int32()),
        ("parked_row", pa.int32()),
        ("parked_sum", pa.int64()),
    ]
)


def park(
    batches: Iterator[pa.RecordBatch], task: Task, column: str, folder: str
) -> Iterator[pa.RecordBatch]:
    """What a task makes of the batches, with PLACE instead of the column, whose values are in a
    new file below the folder.
    """
    storage.make_folder(storage.locate(folder))
    path = storage.locate(folder) / f"{uuid.uuid4().hex}.arrow"
    with ExitStack() as open_files:
        writer = None
        for number, batch in enumerate(task(batches)):
            values = batch.select([column])
            if writer is None:
                file = open_files.enter_context(storage.create(path))
                writer = open_files.enter_context(pa.ipc.new_file(file, values.schema))
            writer.write_batch(values)
            yield _placed(batch.drop_columns([column]), str(path), number, _sum(values))


def _sum(values: pa.RecordBatch) -> int:
    return zlib.crc32(values.serialize())


def _placed(batch: pa.RecordBatch, file: str, number: int, checksum: int) -> pa.RecordBatch:
    rows = batch.num_rows
    place = [
        pa.repeat(file, rows),
        np.full(rows, number, np.int32),
        np.arange(rows, dtype=np.int32),
        np.full(rows, checksum),
    ]
    return pa.record_batch([*batch.columns, *place], schema=pa.schema([*batch.schema, *PLACE]))


def fetch(batches: Iterator[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """The batches, cut where another parked batch begins, with their values instead of PLACE.

    Little is read twice where the rows come in the order in which they were parked. Raises
    DataError for a file that is gone or damaged.
    """
    with ExitStack() as open_files:
        file, reader = None, None
        for batch in batches:
            for rows in _by_parked_batch(batch):
                if rows["parked_file"][0].as_py() != file:
                    open_files.close()
                    file = rows["parked_file"][0].as_py()
                    reader = open_files.enter_context(_opened(file, open_files))
                assert reader is not None and file is not None
                values = _checked(
                    reader, rows["parked_batch"][0].as_py(), rows["parked_sum"][0].as_py(), file
                )
                yield rows.drop_columns(PLACE.names).append_column(
                    column, values.column(0).take(rows["parked_row"])
                )


def _checked(
    reader: pa.ipc.RecordBatchFileReader, number: int, checksum: int, path: str
) -> pa.RecordBatch:
    with _damage_explained(path):
        batch = reader.get_batch(number)
        if _sum(batch) != checksum:
            raise OSError("its checksum is not the one that was written")
        return batch


def _by_parked_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Runs of rows whose values were parked together."""
    codes = batch["parked_file"].dictionary_encode().indices.to_numpy(zero_copy_only=False)
    keys = np.stack([codes, batch["parked_batch"].to_numpy()])
    starts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    for start, end in zip([0, *starts], [*starts, batch.num_rows], strict=True):
        if end > start:
            yield batch.slice(start, end - start)


def _opened(path: str, open_files: ExitStack) -> pa.ipc.RecordBatchFileReader:
    with _damage_explained(path):
        return pa.ipc.open_file(open_files.enter_context(storage.open_input(storage.locate(path))))


@contextmanager
def _damage_explained(path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split())}); run the stage again"
        ) from error
