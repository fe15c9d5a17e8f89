"""The first rows of a source, read as Spark's workers read all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from emberline.datasets import raw_files, storage
from emberline.datasets.listing import RawFile
from emberline.errors import ConfigError
from emberline.look.sources import Source
from emberline.records import parquet, text
from emberline.sections.raw import RawConfig

ROWS = 1000  # of a source
_FILES = 8


@dataclass(frozen=True)
class Head:
    """A file, the names of its columns, and its first rows: columns source_file, raw, problem
    and the wanted ones.
    """

    file: RawFile
    names: tuple[str, ...]
    rows: pa.RecordBatch


def read(source: Source, files: Sequence[RawFile]) -> list[Head]:
    """Heads of some of the files, the first and the last among them.

    Raises SchemaError for a column that is not there, DataError for a file that is not what it
    claims.
    """
    chosen = _some(files)
    kind = kind_of(source.config, chosen)
    found = [_head(source, file, kind, max(ROWS // len(chosen), 1)) for file in chosen]
    return [head for head in found if head is not None]


def kind_of(config: RawConfig, files: Sequence[RawFile]) -> str:
    """csv, json or parquet. Raises ConfigError where neither the setting nor the files' names
    say which.
    """
    if config.format != "auto":
        return config.format
    kinds = {text.kind_of(file.name) for file in files}
    kind = kinds.pop()
    if kind is None or kinds:
        raise ConfigError(
            f"cannot tell the format of {files[0].relative} and {len(files) - 1} other files from"
            " their names; set format to csv, json or parquet"
        )
    return kind


def _some(files: Sequence[RawFile]) -> list[RawFile]:
    if len(files) <= _FILES:
        return list(files)
    return [files[place * (len(files) - 1) // (_FILES - 1)] for place in range(_FILES)]


def _head(source: Source, file: RawFile, kind: str, rows: int) -> Head | None:
    name, wanted, lists = str(file.path), source.wanted, source.lists
    if kind == "parquet":
        with raw_files.open_arrow(file.uri) as opened:
            columns, batch = parquet.head(opened, name, wanted, lists, ("timestamp",), rows)
        return _named(file, columns.names, batch)
    with storage.open_input(file.path) as opened:
        found = text.head(opened, name, source.config.dialect(kind), wanted, lists, rows)
    return None if found is None else _named(file, found[0].names, found[1])


def _named(file: RawFile, columns: tuple[str, ...], batch: pa.RecordBatch) -> Head:
    names = pa.repeat(pa.scalar(file.relative, pa.string()), batch.num_rows)
    return Head(
        file,
        columns,
        pa.record_batch([names, *batch.columns], ["source_file", *batch.schema.names]),
    )
