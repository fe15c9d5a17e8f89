"""Rows of raw Parquet files as batches of records: raw text, what is wrong with a row, and the
wanted values as text.

Only the wanted columns are read, page by page, each compared with its checksum where it has one,
and the rows are counted against the footer. A name that no column has reaches into structs by dots:
`image.bytes`. One value has one text, whatever its type in this file or that: 17850, 17850.0 and
decimal 17850.00 are "17850", and NaN is nothing.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from emberline.errors import ConfigError, DataError, SchemaError
from emberline.records import columns
from emberline.records.heads import Wanted, near, shorten
from emberline.records.objects import WORDS
from emberline.records.separated import NUL
from emberline.records.splitting import Positions

MOMENT = "\x1e"  # a text that begins with it is a moment, in microseconds since 1970
_BAD_TEXT = "not valid utf-8"
_BATCH_ROWS = 16_384
_PICTURES = ("image",)
_BATCH_BYTES = 16 << 20  # of encoded pictures
# the field of a struct that holds an encoded picture, beside `path`, in datasets of Hugging Face
_PICTURE = "bytes"
_WHOLE_MAX = 2.0**63
_NO_VALUES = "expected a text, a number, true or false, or a moment"


@dataclass(frozen=True)
class Layout:
    """What a file's footer says: its columns, and the rows and uncompressed bytes of each row
    group.
    """

    names: tuple[str, ...]
    group_rows: tuple[int, ...]
    group_bytes: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Some rows of a row group: from `start` to before `end` of its `rows`."""

    group: int
    rows: int
    start: int
    end: int


# A Piece of a file; its row group begins with the file's row `first_row`, and has so many bytes.
TASKS = pa.schema(
    [
        ("uri", pa.string()),
        ("source_file", pa.string()),
        ("group", pa.int32()),
        ("rows", pa.int64()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("first_row", pa.int64()),
        ("bytes", pa.int64()),
    ]
)


@dataclass(frozen=True)
class _Column:
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


def layout(
    file: Any,
    name: str,
    wanted: Wanted,
    lists: Collection[str] = (),
    pictures: Collection[str] = (),
) -> Layout:
    """What the footer of a file says.

    Raises DataError for a file that is not whole, SchemaError for a wanted column that is missing,
    there twice, or of a type that is no text; the columns `lists` may be lists.
    """
    opened = _open(file, name)
    with _explained(name):
        found = _columns(opened, name, names_of(wanted))
    for new, column in found.items():
        _check_type(column, name, new in lists)
    return _layout(opened, name)


def picture_layout(file: Any, name: str, wanted: Wanted, label_names: Sequence[str] = ()) -> Layout:
    """What the footer of a file of pictures says: the column `image` is bytes, or a struct with a
    field `bytes`.

    Raises as `layout`, and SchemaError for labels that are no numbers though they have
    `label_names`.
    """
    opened = _open(file, name)
    with _explained(name):
        found = _columns(opened, name, names_of(wanted), _PICTURES)
    for new, column in found.items():
        if new in _PICTURES:
            _check_is_bytes(column, name)
        else:
            _check_type(column, name, False)
    if (
        label_names
        and "label" in found
        and not pa.types.is_integer(_plain_type(found["label"].kind))
    ):
        label = found["label"]
        raise SchemaError(
            f"{name}: column {label.name!r} is {label.kind}, and label_names are for numbers from"
            " 0; remove images.label_names"
        )
    return _layout(opened, name)


def _layout(opened: pq.ParquetFile, name: str) -> Layout:
    with _explained(name):
        # What a group says of its columns is not asked for: in a damaged or encrypted footer that
        # aborts the process.
        groups = [opened.metadata.row_group(number) for number in range(opened.num_row_groups)]
        rows = tuple(group.num_rows for group in groups)
        return Layout(
            tuple(opened.schema_arrow.names),
            rows,
            tuple(max(group.total_byte_size, 0) for group in groups),
        )


def read(
    file: Any,
    name: str,
    wanted: Wanted,
    piece: Piece,
    lists: Collection[str] = (),
    moments: Collection[str] = (),
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and one of text per key of `wanted`.

    Moments in the columns `moments` are microseconds behind a MOMENT, elsewhere as people write
    them. Raises DataError where a row is missing or cannot be read.
    """
    opened = _open(file, name)
    found = _columns(opened, name, names_of(wanted))
    for batch in _rows(opened, name, piece, found, _BATCH_ROWS):
        yield _records(batch, found, lists, moments)


def read_tasks(
    batches: Iterator[pa.RecordBatch],
    wanted: Wanted,
    lists: Collection[str],
    moments: Collection[str],
    opened: Callable[[str], Any],
) -> Iterator[pa.RecordBatch]:
    """TASKS to columns source_file, and those of `read`. `opened` opens a URI."""
    for batch in batches:
        for task in batch.to_pylist():
            with opened(task["uri"]) as file:
                for rows in read(file, task["uri"], wanted, piece_of(task), lists, moments):
                    source_file = pa.repeat(
                        pa.scalar(task["source_file"], pa.string()), rows.num_rows
                    )
                    yield pa.record_batch(
                        [source_file, *rows.columns], ["source_file", *rows.schema.names]
                    )


def piece_of(task: Mapping[str, Any]) -> Piece:
    """What one of the TASKS reads."""
    return Piece(task["group"], task["rows"], task["start"], task["end"])


def read_pictures(
    batches: Iterator[pa.RecordBatch],
    wanted: Wanted,
    label_names: Sequence[str],
    opened: Callable[[str], Any],
) -> Iterator[pa.RecordBatch]:
    """TASKS to columns source_file, position, item_id, label and content, of the wanted columns
    item_id, image and label.

    Raises DataError for a label without a name, and as `read`.
    """
    for batch in batches:
        for task in batch.to_pylist():
            with opened(task["uri"]) as file:
                position = task["first_row"] + task["start"]
                for values in _pictures(file, task, wanted):
                    rows = len(values["image"])
                    known = [pa.repeat(pa.scalar(task["source_file"], pa.string()), rows)]
                    known += [
                        pa.array(np.arange(position, position + rows)),
                        as_text(values["item_id"])[0],
                    ]
                    label = (
                        _labels(values["label"], label_names, task["uri"])
                        if "label" in values
                        else pa.nulls(rows, pa.string())
                    )
                    content = values["image"].cast(pa.binary())
                    yield pa.record_batch(
                        [*known, label, content],
                        ["source_file", "position", "item_id", "label", "content"],
                    )
                    position += rows


def _pictures(file: Any, task: Mapping[str, Any], wanted: Wanted) -> Iterator[dict[str, pa.Array]]:
    opened = _open(file, task["uri"])
    found = _columns(opened, task["uri"], names_of(wanted), _PICTURES)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * task["rows"] // max(task["bytes"], 1)))
    for batch in _rows(opened, task["uri"], piece_of(task), found, rows):
        yield {new: _plain(column.of(batch)) for new, column in found.items()}


def _labels(values: pa.Array, names: Sequence[str], name: str) -> pa.Array:
    """Labels as text: numbers by their names, where there are any, and none for those below 0."""
    if not names or not pa.types.is_integer(values.type):
        return as_text(values)[0]
    numbers = pc.if_else(pc.less(values, 0), pa.scalar(None, values.type), values).cast(pa.int64())
    highest = pc.max(numbers).as_py()
    if highest is not None and highest >= len(names):
        raise DataError(
            f"{name}: label {highest} has no name: images.label_names has {len(names)}, for 0 to"
            f" {len(names) - 1}"
        )
    return pa.array(names, pa.string()).take(numbers)


def head(
    file: Any,
    name: str,
    wanted: Wanted,
    lists: Collection[str] = (),
    moments: Collection[str] = (),
    rows: int = 1000,
) -> tuple[Layout, pa.RecordBatch]:
    """What a file's footer says, and its first records as `read` has them. Raises as `layout`
    and `read`.
    """
    known, opened = layout(file, name, wanted, lists), _open(file, name)
    found = _columns(opened, name, names_of(wanted))
    pieces = (
        Piece(number, count, 0, min(rows, count))
        for number, count in enumerate(known.group_rows)
        if count
    )
    first = next(
        (batch for piece in pieces for batch in _rows(opened, name, piece, found, rows)), None
    )
    if first is None:
        empty = pa.schema([(key, pa.string()) for key in ("raw", "problem", *found)])
        return known, pa.RecordBatch.from_pylist([], empty)
    return known, _records(first, found, lists, moments)


# -------------------------------------------------------------------------------------------------
# the file


def _open(file: Any, name: str) -> pq.ParquetFile:
    """Raises DataError for what is not a whole Parquet file, or is one that cannot be read."""
    with _explained(name, "is not a whole Parquet file"):
        return pq.ParquetFile(file, page_checksum_verification=True)


@contextmanager
def _explained(name: str, what: str = "cannot be read") -> Iterator[None]:
    """Raises DataError where the file gives way."""
    try:
        yield
    except (
        OSError,
        ValueError,
        KeyError,
        NotImplementedError,
        MemoryError,
        pa.ArrowException,
    ) as error:
        why = " ".join(str(error).split())
        if "ncrypt" in why or "ecrypt" in why:
            raise DataError(
                f"{name} is encrypted, for which there is no key here; decrypt it first"
            ) from None
        if "codec" in why.lower() and "support" in why.lower():
            raise DataError(
                f"{name} is compressed in a way that is not read here ({why}); write it with zstd"
            ) from None
        raise DataError(f"{name} {what}: {why}") from None


def _rows(
    opened: pq.ParquetFile, name: str, piece: Piece, found: Mapping[str, _Column], batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """The rows of a piece, each of which is there. To reach them, those before are read, too."""
    at = 0
    for batch in _batches(opened, name, piece.group, found, batch_rows):
        inside = batch.slice(max(piece.start - at, 0), max(piece.end - max(piece.start, at), 0))
        at += batch.num_rows
        if inside.num_rows:
            yield inside
        if at >= piece.end < piece.rows:
            return
    if at != piece.rows:
        raise DataError(
            f"{name} cannot be read: its row group {piece.group} holds {at:,} rows where its footer"
            f" says {piece.rows:,}; it is damaged, or was changed while it was read"
        )


def _batches(
    opened: pq.ParquetFile, name: str, group: int, found: Mapping[str, _Column], rows: int
) -> Iterator[pa.RecordBatch]:
    names = list(dict.fromkeys(".".join(column.path) for column in found.values()))
    with _explained(name):
        if group >= opened.num_row_groups:
            raise OSError(f"its row group {group} is gone, it was changed while it was read")
        yield from opened.iter_batches(rows, [group], names, use_threads=False)


# ---------------------------------------------------------------------------------------------- the
# columns


def _columns(
    opened: pq.ParquetFile, name: str, wanted: Mapping[str, str], pictures: Collection[str] = ()
) -> dict[str, _Column]:
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
        found[new] = _Column(column, path, _type_at(schema, path))
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


def _check_type(column: _Column, name: str, may_be_list: bool) -> None:
    """Raises SchemaError for a column whose values are no texts."""
    kind = _plain_type(column.kind)
    if may_be_list and _is_list(kind):
        kind = _plain_type(kind.value_type)
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


def _check_is_bytes(column: _Column, name: str) -> None:
    if not _is_binary(_plain_type(column.kind)) or pa.types.is_string(column.kind):
        raise SchemaError(
            f"{name}: column {column.name!r} is {column.kind}, expected the bytes of encoded"
            f" pictures (PNG, JPEG, ...), or a struct with such a field {_PICTURE!r}"
        )


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """What the values of a dictionary or of a type of somebody's own are."""
    if pa.types.is_dictionary(kind):
        return _plain_type(kind.value_type)
    if isinstance(kind, pa.UuidType):
        return pa.string()
    return _plain_type(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


# -----------------------------------------------------------------------------------------------
# the values


def _records(
    batch: pa.RecordBatch,
    found: Mapping[str, _Column],
    lists: Collection[str],
    moments: Collection[str],
) -> pa.RecordBatch:
    problems: list[tuple[str, Positions]] = []
    readable: dict[str, pa.Array] = {}
    texts: dict[str, pa.Array] = {}
    for new, column in found.items():
        values = column.of(batch)
        if new in lists and _is_list(_plain_type(column.kind)):
            texts[new], more = _words(values)
            readable.setdefault(column.name, _listed(texts[new]))
        else:
            text, more = as_text(values)
            is_moment = new in moments and _is_moment(_plain_type(column.kind))
            texts[new] = _as_moment(values) if is_moment else text
            readable.setdefault(column.name, _as_json(text, _plain(values)))
        problems += more
    raw = _objects(readable, batch.num_rows)
    return pa.record_batch(
        [raw, columns.labels(batch.num_rows, problems), *texts.values()], ["raw", "problem", *texts]
    )


def as_text(values: pa.Array) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """A column's values as text, and which of them are no text, by the reason."""
    values = _plain(values)
    kind = values.type
    if _is_binary(kind):
        return _decoded(values)
    if pa.types.is_floating(kind):
        return _floats_as_text(values), []
    if pa.types.is_decimal(kind):
        return _decimals_as_text(values), []
    if _is_moment(kind):
        return _moments_as_text(values), []
    return values.cast(pa.string()), []


def _plain(values: pa.Array) -> pa.Array:
    """The values without a dictionary, or a type of somebody's own, around them."""
    if isinstance(values.type, pa.UuidType):
        ids = (
            None if value is None else str(uuid.UUID(bytes=value))
            for value in values.storage.to_pylist()
        )
        return pa.array(ids, pa.string())
    if isinstance(values.type, pa.BaseExtensionType):
        return _plain(values.storage)
    return _plain(values.dictionary_decode()) if pa.types.is_dictionary(values.type) else values


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_string_view,
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_binary_view,
        )
    )


def _decoded(values: pa.Array) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """Bytes as text; where they are none, U+FFFD stands for what is not UTF-8."""
    try:
        texts = values.cast(pa.binary()).cast(pa.string())  # which checks them
        problems = []
    except pa.ArrowInvalid:
        content = values.cast(pa.binary()).to_pylist()
        decoded = [None if value is None else value.decode(errors="replace") for value in content]
        wrong = [
            i for i, text in enumerate(decoded) if text is not None and text.encode() != content[i]
        ]
        texts, problems = pa.array(decoded, pa.string()), [(_BAD_TEXT, np.array(wrong))]
    zero = pc.match_substring(texts, "\0").fill_null(False)
    if pc.any(zero).as_py():
        problems.append((NUL, np.flatnonzero(zero.to_numpy(zero_copy_only=False))))
    return texts, problems


def _floats_as_text(values: pa.Array) -> pa.Array:
    """Whole numbers without a point, the others as short as they can be; NaN is null."""
    if pa.types.is_float16(values.type):
        values = values.cast(pa.float32())
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
    is_whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.less(pc.abs(values), _WHOLE_MAX))
    whole = pc.if_else(is_whole, values, pa.scalar(None, values.type)).cast(pa.int64())
    return pc.coalesce(whole.cast(pa.string()), values.cast(pa.string()))


def _decimals_as_text(values: pa.Array) -> pa.Array:
    """Without zeros after the point, without an exponent."""
    texts = values.cast(pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        texts = pa.array((text and f"{Decimal(text):f}" for text in texts.to_pylist()), pa.string())
    texts = pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1")
    return pc.replace_substring_regex(texts, r"\.$", "")


def _is_moment(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _microseconds(values: pa.Array) -> pa.Array:
    """A moment without a zone is UTC. What microseconds do not reach is null."""
    if not pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("s")).cast(pa.timestamp("us"))
    unit = values.type.unit
    if unit == "ns":
        return values.cast(pa.timestamp("us"), safe=False)
    limit = 2**63 // {"s": 10**6, "ms": 10**3, "us": 1}[unit]
    counts = values.cast(pa.int64())
    fits = pc.and_(pc.less(counts, limit), pc.greater(counts, -limit)) if unit != "us" else None
    values = values if fits is None else pc.if_else(fits, values, pa.scalar(None, values.type))
    return values.cast(pa.timestamp("us"))


def _as_moment(values: pa.Array) -> pa.Array:
    micros = _microseconds(_plain(values)).cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(MOMENT, micros, "")


def _moments_as_text(values: pa.Array) -> pa.Array:
    """As people write them, in UTC: 2011-11-01, 2011-11-01 08:00:00 or 2011-11-01 08:00:00.5."""
    if pa.types.is_date(values.type):
        return values.cast(pa.date32()).cast(pa.string())
    texts = _microseconds(values).cast(pa.string())
    return pc.replace_substring_regex(
        pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", ""
    )


def _words(values: pa.Array) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """Lists as their words, each behind a WORDS."""
    values = _plain(values)
    texts, problems = as_text(values.flatten())
    parents = pc.list_parent_indices(values).to_numpy(zero_copy_only=False)
    words = pa.ListArray.from_arrays(_offsets(parents, len(values)), texts.fill_null(""))
    joined = pc.binary_join(words, WORDS)
    whole = pc.binary_join_element_wise(WORDS, joined, "")
    return pc.if_else(values.is_null(), pa.scalar(None, pa.string()), whole), [
        (what, parents[at]) for what, at in problems
    ]


def _offsets(parents: Positions, rows: int) -> pa.Array:
    """Where each row's values begin, and the last one's end."""
    counts = np.bincount(parents, minlength=rows)
    return pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())


# --------------------------------------------------------------------------------------------- rows
# as JSON


def _as_json(texts: pa.Array, values: pa.Array) -> pa.Array:
    kind = values.type
    if pa.types.is_floating(kind):
        # as Python's json has it
        return pc.if_else(pc.is_nan(values).fill_null(False), "NaN", texts)
    is_literal = pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    return texts if is_literal else _quoted(texts)


def _quoted(texts: pa.Array) -> pa.Array:
    plain = pc.binary_join_element_wise('"', texts, '"', "")
    special = pc.match_substring_regex(texts, r'["\\\x00-\x1f]').fill_null(False)
    if not pc.any(special).as_py():
        return plain
    escaped = [json.dumps(text, ensure_ascii=False) for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(plain, special, pa.array(escaped, pa.string()))


def _listed(words: pa.Array) -> pa.Array:
    lists = (
        (text and text[1:].split(WORDS)) if text != WORDS else [] for text in words.to_pylist()
    )
    return pa.array(
        (found if found is None else json.dumps(found, ensure_ascii=False) for found in lists),
        pa.string(),
    )


def _objects(readable: Mapping[str, pa.Array], rows: int) -> pa.Array:
    """One JSON object per row, without what is null."""
    begin = pa.array(["{"] * rows, pa.string())
    pairs = []
    for name, values in readable.items():
        key = f"{json.dumps(name, ensure_ascii=False)}:"
        pairs.append(pc.binary_join_element_wise(key, values, ",", "").fill_null(""))
    joined = pc.binary_join_element_wise(begin, *pairs, "")
    return pc.binary_join_element_wise(pc.utf8_rtrim(joined, ","), "}", "")
