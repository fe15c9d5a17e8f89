"""A column of large values in files of its own, while Spark sorts out the rows that they belong to.

A task parks the column of all its rows in one file, batch by batch; the rows get the place instead. A task that is repeated
leaves a file that no row names.
"""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack

import numpy as np
import pyarrow as pa

from emberline.datasets import storage
from emberline.datasets.rows import Task
from emberline.errors import DataError

PLACE = pa.schema([("parked_file", pa.string()), ("parked_batch", pa.int32()), ("parked_row", pa.int32())])


def park(batches: Iterator[pa.RecordBatch], task: Task, column: str, folder: str) -> Iterator[pa.RecordBatch]:
    """What a task makes of the batches, with PLACE instead of the column, whose values are in a new file below the folder."""
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
            yield _placed(batch.drop_columns([column]), str(path), number)


def _placed(batch: pa.RecordBatch, file: str, number: int) -> pa.RecordBatch:
    rows = batch.num_rows
    place = [pa.array([file]).take(np.zeros(rows, np.int32)), np.full(rows, number, np.int32), np.arange(rows, dtype=np.int32)]
    return pa.record_batch([*batch.columns, *place], schema=pa.schema([*batch.schema, *PLACE]))


def fetch(batches: Iterator[pa.RecordBatch], column: str) -> Iterator[pa.RecordBatch]:
    """The batches, cut where another parked batch begins, with their values instead of PLACE.

    Little is read twice where the rows come in the order in which they were parked. Raises DataError for a file that is gone.
    """
    with ExitStack() as open_files:
        file, reader = None, None
        for batch in batches:
            for rows in _by_parked_batch(batch):
                if rows["parked_file"][0].as_py() != file:
                    open_files.close()
                    file = rows["parked_file"][0].as_py()
                    reader = open_files.enter_context(_opened(file, open_files))
                assert reader is not None
                values = reader.get_batch(rows["parked_batch"][0].as_py()).column(0).take(rows["parked_row"])
                yield rows.drop_columns(PLACE.names).append_column(column, values)


def _by_parked_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Runs of rows whose values were parked together."""
    codes = batch["parked_file"].dictionary_encode().indices.to_numpy(zero_copy_only=False)
    keys = np.stack([codes, batch["parked_batch"].to_numpy()])
    starts = np.flatnonzero((keys[:, 1:] != keys[:, :-1]).any(axis=0)) + 1
    for start, end in zip([0, *starts], [*starts, batch.num_rows], strict=True):
        if end > start:
            yield batch.slice(start, end - start)


def _opened(path: str, open_files: ExitStack) -> pa.ipc.RecordBatchFileReader:
    try:
        return pa.ipc.open_file(open_files.enter_context(storage.open_input(storage.locate(path))))
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(f"{path} cannot be read ({error}); run the stage again") from error
