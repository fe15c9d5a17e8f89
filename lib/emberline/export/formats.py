"""The formats of an export: each writes batches to a stream, as they come."""

import base64
import json
import math
from collections.abc import Iterable
from itertools import chain, islice
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from emberline.datasets.parts import encoding

Format = Literal["csv", "jsonl", "parquet"]
Batches = Iterable[pa.RecordBatch]
_FORMULA = r"^[=+\-@\t\r]"


def write(
    style: Format,
    stream: Any,
    schema: pa.Schema,
    batches: Batches,
    is_for_spreadsheets: bool = False,
) -> int:
    """Write the batches, each of the schema, and return how many rows they had.

    CSV: UTF-8, a header, texts in double quotes and those in them doubled (RFC 4180), nothing where
    there is no value; lists as JSON. JSON lines: one object a line. In both, bytes are base64.
    Parquet: one file, zstd. For spreadsheets, a text that one would take for a formula has an
    apostrophe before it.
    """
    writer = {"csv": _write_csv, "jsonl": _write_json, "parquet": _write_parquet}[style]
    return writer(
        stream, schema, (_defused(batch) for batch in batches) if is_for_spreadsheets else batches
    )


def _write_csv(stream: Any, schema: pa.Schema, batches: Batches) -> int:
    count, flat = 0, pa.schema([pa.field(field.name, _flat_type(field.type)) for field in schema])
    with pacsv.CSVWriter(stream, flat) as writer:
        for batch in batches:
            writer.write_batch(
                pa.RecordBatch.from_arrays([_flat(column) for column in batch.columns], schema=flat)
            )
            count += batch.num_rows
    return count


def _write_json(stream: Any, schema: pa.Schema, batches: Batches) -> int:
    count = 0
    for batch in batches:
        columns = [
            [_json_value(value) for value in _exact(column).to_pylist()] for column in batch.columns
        ]
        for values in zip(*columns, strict=True):
            stream.write(
                json.dumps(
                    dict(zip(schema.names, values, strict=True)), ensure_ascii=False
                ).encode()
                + b"\n"
            )
        count += batch.num_rows
    return count


def _write_parquet(stream: Any, schema: pa.Schema, batches: Batches) -> int:
    count, rest = 0, (batch for batch in batches if batch.num_rows)
    first = list(islice(rest, 1))
    options = encoding(pa.Table.from_batches(first, schema))
    with pq.ParquetWriter(stream, schema, write_page_checksum=True, **options) as writer:
        for batch in chain(first, rest):
            writer.write_batch(batch)
            count += batch.num_rows
    return count


def _flat_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_nested(kind) or pa.types.is_binary(kind) else kind


def _flat(column: pa.Array) -> pa.Array:
    """A column as CSV holds it: lists and bytes as texts."""
    if _flat_type(column.type) == column.type:
        return column
    values = [_json_value(value) for value in _exact(column).to_pylist()]
    texts = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for value in values
    ]
    return pa.array(texts, pa.string())


def _exact(column: pa.Array) -> pa.Array:
    """Numbers of 32 bits as the shortest numbers of 64 that are the same: 0.1, not
    0.10000000149011612.
    """
    if column.type == pa.float32():
        return column.cast(pa.string()).cast(pa.float64())
    if column.type == pa.list_(pa.float32()):
        return column.cast(pa.list_(pa.string())).cast(pa.list_(pa.float64()))
    return column


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, list):
        return [_json_value(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def _defused(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with an apostrophe before texts that spreadsheets would compute."""
    return pa.RecordBatch.from_arrays(
        [_defused_texts(column) for column in batch.columns], schema=batch.schema
    )


def _defused_texts(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pc.if_else(
        pc.match_substring_regex(column, _FORMULA),
        pc.binary_join_element_wise("'", column, ""),
        column,
    )
