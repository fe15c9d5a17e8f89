"""The wanted columns of a raw Parquet file: where they are in its schema, and whether their types
can be read.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.errors import ConfigError, SchemaError
from emberline.records.arrow_texts import is_binary, is_list, plain_type
from emberline.records.heads import Wanted, near, shorten

# the field of a struct that holds an encoded picture, beside `path`, in datasets of Hugging Face
_PICTURE = "bytes"

_NO_VALUES = "expected a text, a number, true or false, or a moment"


@dataclass(frozen=True)
class Column:
    """A wanted column: its name, where it is in the schema, and its type."""

    name: str
    path: tuple[str, ...]
    kind: pa.DataType

    def of(self, batch: pa.RecordBatch) -> pa.Array:
        top = batch.column(batch.schema.get_field_index(self.path[0]))
        return pc.struct_field(top, list(self.path[1:])) if len(self.path) > 1 else top


def names_of(wanted: Wanted) -> dict[str, str]:
    """The wanted columns. Raises ConfigError for a position, which Parquet's columns have, but
    nobody counts.
    """
    if any(isinstance(column, int) for column in wanted.values()):
        raise ConfigError("columns of Parquet have names, found a position; give the names")
    return {new: str(column) for new, column in wanted.items()}


def find_columns(
    opened: pq.ParquetFile, name: str, wanted: Mapping[str, str], pictures: Collection[str] = ()
) -> dict[str, Column]:
    """Where the wanted columns are. Raises SchemaError for one that is missing, or there twice."""
    schema: pa.Schema = opened.schema_arrow
    found = {}
    for new, column in wanted.items():
        times = schema.names.count(column)
        path = (column,) if times else _reach(list(schema), column)
        if times > 1 or path is None:
            what = f"appears {times} times" if times else f"is missing{near(column, schema.names)}"
            raise SchemaError(
                f"{name}: column {column!r} {what}; the file has:"
                f" {shorten(', '.join(schema.names))}; correct columns in the pipeline file"
            )
        if new in pictures and pa.types.is_struct(_type_at(schema, path)):
            path = (*path, _PICTURE)
        found[new] = Column(column, path, _type_at(schema, path))
    return found


def _reach(fields: Sequence[pa.Field], name: str) -> tuple[str, ...] | None:
    """The path that dots in a name mean, through structs, whose own names may hold dots."""
    for field in fields:
        if field.name == name:
            return (name,)
        if pa.types.is_struct(field.type) and name.startswith(f"{field.name}."):
            rest = _reach(list(field.type), name.removeprefix(f"{field.name}."))
            if rest:
                return (field.name, *rest)
    return None


def _type_at(schema: pa.Schema, path: Sequence[str]) -> pa.DataType:
    kind = schema.field(schema.names.index(path[0])).type
    for name in path[1:]:
        place = kind.get_field_index(name)
        kind = kind.field(place).type if place >= 0 else pa.null()
    return kind


def check_type(column: Column, name: str, may_be_list: bool) -> None:
    """Raises SchemaError for a column whose values are no texts."""
    kind = plain_type(column.kind)
    if may_be_list and is_list(kind):
        kind = plain_type(kind.value_type)
    advice = _NO_VALUES
    if pa.types.is_struct(kind):
        inner = " or ".join(repr(f"{column.name}.{field.name}") for field in list(kind)[:5])
        advice = f"name what is meant in it: {inner}"
    elif pa.types.is_fixed_size_binary(kind):
        advice = "bytes are no text; write it as text, such as an UUID in hexadecimal digits"
    elif pa.types.is_time(kind) or pa.types.is_duration(kind):
        advice = f"{_NO_VALUES}; write it as a number or as text"
    elif not pa.types.is_nested(kind) and not pa.types.is_interval(kind):
        return
    raise SchemaError(f"{name}: column {column.name!r} is {column.kind}, {advice}")


def check_is_bytes(column: Column, name: str) -> None:
    if not is_binary(plain_type(column.kind)) or pa.types.is_string(column.kind):
        raise SchemaError(
            f"{name}: column {column.name!r} is {column.kind}, expected the bytes of encoded"
            f" pictures (PNG, JPEG, ...), or a struct with such a field {_PICTURE!r}"
        )
