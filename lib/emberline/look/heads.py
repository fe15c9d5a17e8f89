"""The first rows of a source, read as Spark's workers read all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from emberline.config import RawConfig
from emberline.datasets import storage
from emberline.datasets.storage import RawFile
from emberline.errors import ConfigError, DataError, SchemaError
from emberline.look.sources import Source
from emberline.records import text
from emberline.records.heads import near, shorten

ROWS = 1000  # of a source
_FILES = 8


@dataclass(frozen=True)
class Head:
    """A file, the names of its columns, and its first rows: columns source_file, raw, problem and the wanted ones."""

    file: RawFile
    names: tuple[str, ...]
    rows: pa.RecordBatch


def read(source: Source, files: Sequence[RawFile]) -> list[Head]:
    """Heads of some of the files, the first and the last among them; none of Parquet, whose columns are looked at only.

    Raises SchemaError for a column that is not there, DataError for a file that is not what it claims.
    """
    chosen = _some(files)
    kind = kind_of(source.config, chosen)
    if kind == "parquet":
        for file in chosen:
            _check_columns(source, file)
        return []
    found = [_head(source, file, kind, max(ROWS // len(chosen), 1)) for file in chosen]
    return [head for head in found if head is not None]


def kind_of(config: RawConfig, files: Sequence[RawFile]) -> str:
    """csv, json or parquet. Raises ConfigError where neither the setting nor the files' names say which."""
    if config.format != "auto":
        return config.format
    kinds = {text.kind_of(file.name) for file in files}
    kind = kinds.pop()
    if kind is None or kinds:
        raise ConfigError(
            f"cannot tell the format of {files[0].relative} and {len(files) - 1} other files from their names; "
            "set format to csv, json or parquet"
        )
    return kind


def _some(files: Sequence[RawFile]) -> list[RawFile]:
    if len(files) <= _FILES:
        return list(files)
    return [files[place * (len(files) - 1) // (_FILES - 1)] for place in range(_FILES)]


def _head(source: Source, file: RawFile, kind: str, rows: int) -> Head | None:
    with storage.open_input(file.path) as opened:
        found = text.head(opened, str(file.path), source.config.dialect(kind), source.wanted, source.lists, rows)
    if found is None:
        return None
    layout, batch = found
    names = pa.array([file.relative] * batch.num_rows, pa.string())
    return Head(file, layout.names, pa.record_batch([names, *batch.columns], ["source_file", *batch.schema.names]))


def _check_columns(source: Source, file: RawFile) -> None:
    name, client = storage.for_arrow(file.path)
    try:
        names = pq.read_schema(name, filesystem=client).names
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file.path} is not a whole Parquet file: {error}") from None
    for column in source.wanted.values():
        if str(column) not in names:
            raise SchemaError(
                f"{file.path}: column {column!r} is missing{near(str(column), names)}; "
                f"the file has: {shorten(', '.join(names))}; correct columns in the pipeline file"
            )
