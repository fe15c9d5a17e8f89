"""Random access to the row groups of a dataset of shards, each of them checked against what the
manifest says.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import keras
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.cnn.ahead import Ahead
from emberline.datasets import damage
from emberline.datasets.facts import Pictures, RowGroups, Task
from emberline.datasets.manifest import Dataset
from emberline.datasets.rows import opened
from emberline.datasets.schema import SHARDS
from emberline.datasets.sharding import groups_of
from emberline.datasets.storage import Location
from emberline.errors import SchemaError
from emberline.images.pixels import Pixels, pixel_array
from emberline.numeric.arrays import Array, Bool, Int64

Targets = Array  # (n,) int32 classes, or (n, rank) float32 factors

_GROUPS_AHEAD = 2


@dataclass(frozen=True)
class Rows:
    """Pictures (n, height, width, channels) uint8, targets (n,) classes or (n, rank) factors,
    and places in the shards (n,).
    """

    pixels: Pixels
    targets: Targets
    numbers: Int64

    def __len__(self) -> int:
        return len(self.pixels)

    def take(self, order: Int64 | Bool | slice) -> "Rows":
        return Rows(self.pixels[order], self.targets[order], self.numbers[order])


class Shards:
    """The row groups of a dataset of shards, numbered over all parts. Any number of threads may
    read at once.

    Raises SchemaError where a part's columns or row groups are not those of the manifest, DataError
    where it cannot be read.
    """

    def __init__(self, dataset: Dataset) -> None:
        manifest, parts = dataset.manifest, dataset.manifest.parts
        is_class = manifest.facts(Task).task == "class"
        self.dataset = dataset
        self._paths = dataset.paths
        self.shape = manifest.facts(Pictures).shape
        self.group_rows = groups_of(
            [(part.rows, part.row_groups) for part in parts],
            manifest.facts(RowGroups).row_group_rows,
        )
        self._column = "label" if is_class else "factors"
        self.target_shape = () if is_class else (manifest.rank,)
        self.target_type = np.int32 if is_class else np.float32
        self._places = [
            (part, group) for part, of in enumerate(parts) for group in range(of.row_groups)
        ]
        self._begins = np.cumsum([0, *self.group_rows])
        self._first_groups = np.cumsum([0, *(part.row_groups for part in parts)])
        self._footers: dict[int, pq.FileMetaData] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return sum(self.group_rows)

    def check_taken_by(self, model: keras.Model) -> None:
        """Raises SchemaError where a model is for pictures of another size."""
        if tuple(model.input_shape[1:]) != self.shape:
            raise SchemaError(
                f"the model takes pictures of {model.input_shape[1:]}, {self.dataset.name} has"
                f" {self.shape}; rerun train-cnn"
            )

    def check(self, share: slice = slice(None)) -> None:
        """Read some parts whole, before anything is learnt from them, and compare each with the
        manifest.

        Raises ManifestError for a part that was altered or that the manifest does not list,
        SchemaError for another schema.
        """
        damage.check_no_more(self.dataset)
        parts = range(len(self._paths))[share]
        with ThreadPoolExecutor(_GROUPS_AHEAD) as pool:
            for _ in pool.map(self._check_part, parts):
                pass

    def _check_part(self, part: int) -> None:
        damage.verify_part(self.dataset, self.dataset.manifest.parts[part])
        self._footer(part)

    def group(self, number: int) -> Rows:
        """All rows of one row group."""
        table = self._read(number, ["pixels", self._column])
        sizes = pc.unique(pc.binary_length(table["pixels"])).to_pylist()
        if sizes != [math.prod(self.shape)]:
            found = " and ".join(map(str, sizes[:3]))
            raise SchemaError(
                f"{self.part_of(number)}: pictures of {found} bytes where the manifest says"
                f" {self.shape}"
            )
        pixels = pixel_array(_in_one(table["pixels"]))
        numbers = self._begins[number] + np.arange(len(pixels))
        return Rows(pixels.reshape(-1, *self.shape), _targets(table[self._column]), numbers)

    def empty(self, count: int) -> Rows:
        """Room for so many rows."""
        pixels = np.empty((count, *self.shape), np.uint8)
        return Rows(
            pixels,
            np.empty((count, *self.target_shape), self.target_type),
            np.empty(count, np.int64),
        )

    def repeated_first(self, count: int) -> Rows:
        """The first row of all, so many times."""
        return self._first.take(np.zeros(count, np.int64))

    @cached_property
    def _first(self) -> Rows:
        """Read once: at the end of every epoch all streams but one may ask for it."""
        return self.group(0).take(np.zeros(1, np.int64))

    def groups(self, numbers: Sequence[int]) -> Ahead[Rows]:
        """One row group after the other, read ahead."""
        return Ahead(map(self.group, numbers), _GROUPS_AHEAD)

    def targets(self) -> Iterator[Targets]:
        """The targets of each row group, in the shards' order, without reading a picture."""
        for number in range(len(self.group_rows)):
            yield _targets(self._read(number, [self._column])[self._column])

    def items(self, number: int) -> pa.Array:
        """The dense indices of one row group's items."""
        return self._read(number, ["item"])["item"].combine_chunks()

    def part_of(self, number: int) -> Location:
        """The file that a row group is in."""
        return self._paths[self._places[number][0]]

    def _read(self, number: int, columns: list[str]) -> pa.Table:
        part, group = self._places[number]
        with opened(self.dataset, self.dataset.manifest.parts[part], self._footer(part)) as file:
            return file.read_row_group(group, columns=columns, use_threads=False)

    def _footer(self, part: int) -> pq.FileMetaData:
        """A part's footer, read once and compared with the manifest."""
        with self._lock:
            if part in self._footers:
                return self._footers[part]
        with opened(self.dataset, self.dataset.manifest.parts[part]) as file:
            self._compare(file, part)
            with self._lock:
                return self._footers.setdefault(part, file.metadata)

    def _compare(self, file: pq.ParquetFile, part: int) -> None:
        path = self._paths[part]
        if not file.schema_arrow.equals(SHARDS):
            raise SchemaError(
                f"{path} has the columns {_named(file.schema_arrow)}, expected {_named(SHARDS)};"
                " rerun export-shards"
            )
        rows = tuple(
            file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)
        )
        expected = self.group_rows[slice(*self._first_groups[part : part + 2])]
        if rows != expected:
            raise SchemaError(
                f"{path} has row groups of {rows[:3]}... rows where the manifest says"
                f" {expected[:3]}...; rerun export-shards"
            )


def _named(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {field.type}" for field in schema)


def _in_one(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; `combine_chunks` copies one that is."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _targets(column: pa.ChunkedArray) -> Targets:
    """Classes, -1 where there is none, or factors, an empty matrix where a row has none."""
    if pa.types.is_integer(column.type):
        return np.asarray(column.fill_null(-1).to_numpy(), np.int32)
    if column.null_count:
        return np.empty((len(column), 0), np.float32)
    factors: Targets = column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)
    return factors
