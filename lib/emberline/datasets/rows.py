"""Rows of a table, read without Spark and without holding the table."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.datasets import storage
from emberline.datasets.damage import damage_explained
from emberline.datasets.footers import checked_footer
from emberline.datasets.manifest import Dataset, Part
from emberline.datasets.schema import TABLES
from emberline.datasets.storage import Location
from emberline.errors import SchemaError
from emberline.numeric.arrays import Int32

Task = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
COUNTED = pa.schema([("rows", pa.int64()), ("among", pa.int64())])
_DISTINCT = 1 << 22  # values of which distinct ones are found at a time


def unchanged(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches as they are: a task for whoever wants a dataset's own rows."""
    return batches


def among(
    batches: Iterator[pa.RecordBatch], place: int, ids: Int32, others: bool = False
) -> Iterator[pa.RecordBatch]:
    """The rows whose column at a place is among some ids (n,) or, for `others`, is not."""
    for batch in batches:
        chosen = np.isin(batch.column(place).to_numpy(), ids, invert=others)
        yield batch.filter(pa.array(chosen))


def only(batches: Iterator[pa.RecordBatch], value: str) -> Iterator[pa.RecordBatch]:
    """The rows whose last column has a value, without that column."""
    for batch in batches:
        *others, last = batch.schema.names
        yield batch.filter(pc.equal(batch[last], value)).select(others)


def withheld(
    batches: Iterator[pa.RecordBatch], cold: bool | None, least: float | None
) -> Iterator[pa.RecordBatch]:
    """Rows of a holdout without their last two columns, value and cold: of items withheld whole,
    of all others, or (None) of both, from a value on.
    """
    for batch in batches:
        *columns, value, is_cold = batch.columns
        chosen = pc.is_valid(is_cold) if cold is None else pc.equal(is_cold, cold)
        if least is not None:
            chosen = pc.and_(chosen, pc.greater_equal(value, least))
        kept = pa.RecordBatch.from_arrays(columns, names=batch.schema.names[:-2])
        yield kept.filter(chosen)


def counted(batches: Iterator[pa.RecordBatch], place: int, ids: Int32) -> Iterator[pa.RecordBatch]:
    """How many rows there are, and of how many the column at a place is among some ids (n,)."""
    for batch in batches:
        found = int(np.isin(batch.column(place).to_numpy(), ids).sum())
        yield pa.record_batch([[batch.num_rows], [found]], schema=COUNTED)


def distinct(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What a column has, each once."""
    names: list[str] = []
    found: list[pa.Array] = []
    for batch in batches:
        names = batch.schema.names
        found.append(batch.column(0).unique())
        if sum(map(len, found)) > _DISTINCT:
            found = [pa.concat_arrays(found).unique()]
    if found:
        yield pa.record_batch([pa.concat_arrays(found).unique()], names=names)


def through(batches: Iterator[pa.RecordBatch], tasks: Sequence[Task]) -> Iterator[pa.RecordBatch]:
    """What the tasks make of the batches, one after the other."""
    for task in tasks:
        batches = task(batches)
    return batches


def open_parquet(path: Location, footer: pq.FileMetaData | None = None) -> pq.ParquetFile:
    """A Parquet file whose pages are checked against their checksums as they are read; closed by
    `with`.

    With its `footer`, if that has been read before, opening reads nothing.
    """
    name, client = storage.for_arrow(path)
    # from there columns are asked for at once, ahead; here that only costs a change of threads
    far = client is not None
    return pq.ParquetFile(
        name, filesystem=client, metadata=footer, page_checksum_verification=True, pre_buffer=far
    )


def batches(dataset: Dataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The columns of all rows, a few thousand at a time. Raises DataError for a damaged part."""
    for part in dataset.manifest.parts:
        with opened(dataset, part) as file:
            yield from file.iter_batches(columns=columns)


def whole(dataset: Dataset, columns: Sequence[str]) -> pa.Table:
    """Some columns of all rows, in memory. Raises DataError for a damaged part."""
    schema = pa.schema([TABLES[dataset.name].field(name) for name in columns])
    found = (batch.select(columns).cast(schema) for batch in batches(dataset, list(columns)))
    return pa.Table.from_batches(found, schema)


def row_groups(dataset: Dataset) -> list[tuple[Part, int]]:
    """The part and the number therein of every row group, in the manifest's order."""
    return [(part, number) for part in dataset.manifest.parts for number in range(part.row_groups)]


def hand_over(
    numbers: Iterator[pa.RecordBatch], dataset: Dataset, columns: Sequence[str], task: Task
) -> Iterator[pa.RecordBatch]:
    """What a task makes of some columns, in this order, of the row groups whose places in
    `row_groups` are the one column given.

    Runs on executors: rows that NumPy is to have need not pass Spark. Raises DataError for a
    damaged part, and SchemaError for factors that are not as long as the manifest says.
    """
    yield from task(_chosen(numbers, dataset, list(columns)))


def _chosen(
    numbers: Iterator[pa.RecordBatch], dataset: Dataset, columns: list[str]
) -> Iterator[pa.RecordBatch]:
    places = row_groups(dataset)
    for batch in numbers:
        for number in batch.column(0).to_pylist():
            part, group = places[number]
            with opened(dataset, part) as file:
                found = file.read_row_group(group, columns).select(columns)
            _check_rank(found, dataset)
            yield from found.to_batches()


def _check_rank(found: pa.Table, dataset: Dataset) -> None:
    """Raises SchemaError where factors are not as long as the manifest says."""
    rank = dataset.manifest.rank
    if rank is not None and "factors" in found.column_names:
        lengths = pc.unique(pc.list_value_length(found["factors"])).drop_null().to_pylist()
        wrong = [length for length in lengths if length != rank]
        if wrong:
            raise SchemaError(
                f"{dataset.name}: factors of length {wrong[0]} where the manifest says rank {rank}"
            )


def head(dataset: Dataset, rows: int) -> pa.Table:
    """The first rows, reading no more parts and row groups than they need. Raises DataError for
    a damaged part.
    """
    found: list[pa.Table] = []
    for part in dataset.manifest.parts:
        if rows <= 0:
            break
        with opened(dataset, part) as file:
            for group in range(file.num_row_groups):
                if rows > 0:
                    found.append(file.read_row_group(group).slice(0, rows))
                    rows -= found[-1].num_rows
    return pa.concat_tables(found) if found else pa.table({})


def rows_where(
    dataset: Dataset, key: str, values: Collection[int] | Collection[str], columns: list[str]
) -> pa.Table:
    """The rows whose `key` is one of the values, as `key` and the columns. Raises DataError for a
    damaged part.

    Row groups whose least and greatest key exclude the values are not read; columns besides the key
    only where it has one.
    """
    schema = TABLES[dataset.name]
    names = list(dict.fromkeys([key, *columns]))
    found = [pa.schema([schema.field(name) for name in names]).empty_table()]
    wanted = pa.array(sorted(values), schema.field(key).type)
    for part in dataset.manifest.parts if values else ():
        with opened(dataset, part) as file:
            found += _matching(file, key, wanted, names)
    return pa.concat_tables(found)


def _matching(
    file: pq.ParquetFile, key: str, wanted: pa.Array, names: list[str]
) -> Iterator[pa.Table]:
    for group in range(file.num_row_groups):
        if _may_hold(file, group, key, wanted):
            is_wanted = pc.is_in(file.read_row_group(group, [key])[key], wanted)
            if pc.any(is_wanted).as_py():
                yield file.read_row_group(group, names).filter(is_wanted).select(names)


def _may_hold(file: pq.ParquetFile, group: int, key: str, wanted: pa.Array) -> bool:
    """What the row group's statistics say, where it has any; `wanted` is sorted."""
    statistics = (
        file.metadata.row_group(group).column(file.schema_arrow.get_field_index(key)).statistics
    )
    if statistics is None or not statistics.has_min_max:
        return True
    return bool(statistics.min <= wanted[-1].as_py() and wanted[0].as_py() <= statistics.max)


@contextmanager
def opened(
    dataset: Dataset, part: Part, footer: pq.FileMetaData | None = None
) -> Iterator[pq.ParquetFile]:
    """A part, whose footer, unless it is given, and pages are checked. Raises DataError where
    it is damaged.
    """
    path = storage.inside(dataset.folder, part.path)
    footer = footer or checked_footer(dataset, part)
    with damage_explained(dataset, path), open_parquet(path, footer) as file:
        yield file
