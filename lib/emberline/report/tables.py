"""Rows of a table, read without holding the table: as a stream, or those that have one of a few values."""

from collections.abc import Collection, Iterator

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.datasets.manifest import Dataset, damage_explained


def batches(dataset: Dataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns of all rows, a few thousand at a time. Raises DataError for a damaged part."""
    for path in dataset.paths:
        with damage_explained(dataset, path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            yield from file.iter_batches(columns=columns)


def rows_where(dataset: Dataset, key: str, values: Collection[int], columns: list[str]) -> pa.Table:
    """The rows whose `key` is one of the values; columns besides it are read only from row groups that have one."""
    wanted = pa.array(sorted(values), pa.int32())
    found = []
    for path in dataset.paths:
        with damage_explained(dataset, path), pq.ParquetFile(path, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                is_wanted = pc.is_in(file.read_row_group(group, [key])[key], wanted)
                if pc.any(is_wanted).as_py():
                    found.append(file.read_row_group(group, [key, *columns]).filter(is_wanted).select([key, *columns]))
    return pa.concat_tables(found) if found else pa.table({name: [] for name in [key, *columns]})
