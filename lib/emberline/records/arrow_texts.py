"""Values of Arrow's types as text: one value has one text, whatever its type in this file or
that, and NaN is nothing.
"""

import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.records.objects import WORDS
from emberline.records.separated import NUL
from emberline.records.splitting import Positions

MOMENT = "\x1e"  # a text that begins with it is a moment, in microseconds since 1970

_BAD_TEXT = "not valid utf-8"

_WHOLE_MAX = 2.0**63


def plain_type(kind: pa.DataType) -> pa.DataType:
    """What the values of a dictionary or of a type of somebody's own are."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if isinstance(kind, pa.UuidType):
        return pa.string()
    return plain_type(kind.storage_type) if isinstance(kind, pa.BaseExtensionType) else kind


def is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def as_text(values: pa.Array) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """A column's values as text, and which of them are no text, by the reason."""
    values = plain(values)
    kind = values.type
    if is_binary(kind):
        return _decoded(values)
    if pa.types.is_floating(kind):
        return _floats_as_text(values), []
    if pa.types.is_decimal(kind):
        return _decimals_as_text(values), []
    if is_moment(kind):
        return _moments_as_text(values), []
    return values.cast(pa.string()), []


def plain(values: pa.Array) -> pa.Array:
    """The values without a dictionary, or a type of somebody's own, around them."""
    if isinstance(values.type, pa.UuidType):
        ids = (
            None if value is None else str(uuid.UUID(bytes=value))
            for value in values.storage.to_pylist()
        )
        return pa.array(ids, pa.string())
    if isinstance(values.type, pa.BaseExtensionType):
        return plain(values.storage)
    return plain(values.dictionary_decode()) if pa.types.is_dictionary(values.type) else values


def is_binary(kind: pa.DataType) -> bool:
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


def is_moment(kind: pa.DataType) -> bool:
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


def as_moment(values: pa.Array) -> pa.Array:
    micros = _microseconds(plain(values)).cast(pa.int64()).cast(pa.string())
    return pc.binary_join_element_wise(MOMENT, micros, "")


def _moments_as_text(values: pa.Array) -> pa.Array:
    """As people write them, in UTC: 2011-11-01, 2011-11-01 08:00:00 or 2011-11-01 08:00:00.5."""
    if pa.types.is_date(values.type):
        return values.cast(pa.date32()).cast(pa.string())
    texts = _microseconds(values).cast(pa.string())
    return pc.replace_substring_regex(
        pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1"), r"\.$", ""
    )


def words_of(values: pa.Array) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """Lists as their words, each behind a WORDS."""
    values = plain(values)
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
