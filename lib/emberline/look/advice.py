"""What to write instead: for a reason why rows cannot be used, the settings that would read
them.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from emberline.datasets import storage
from emberline.errors import EmberlineError
from emberline.look import fits
from emberline.look.heads import Head, kind_of
from emberline.look.sources import Source
from emberline.records import heads as records
from emberline.records import text
from emberline.records.dialect import Dialect
from emberline.records.heads import near
from emberline.sections.ratings import RatingsConfig

_START = 1 << 16  # bytes that say in which encoding a file is
_SHOWN = 3
_MISSING = " is missing"


def advise(source: Source, reason: str, found: Sequence[Head], rows: pa.Table) -> str:
    """In half a sentence which settings would fit; "" where none is known. rows: those that
    have the reason, before cleaning.
    """
    if reason.endswith(_MISSING):
        return unknown_key(found, source.wanted[reason.removesuffix(_MISSING)])
    for begins, advice in _ADVICE.items():
        if reason.startswith(begins):
            return advice(source, found, rows)
    return ""


def unknown_key(found: Sequence[Head], column: str | int) -> str:
    """Of JSON, whose rows need not have a key: that none of the first has it, and which is
    near; else \"\".
    """
    names = [name for head in found for name in head.names]
    if not names or not isinstance(column, str) or column in names or "." in column:
        return ""
    return f"no row there has {column!r}{near(column, names)}"


def _timestamp(source: Source, found: Sequence[Head], rows: pa.Table) -> str:
    if not isinstance(source.config, RatingsConfig):
        return ""
    texts = rows["timestamp"].combine_chunks()
    written = (
        f'{source.setting}.timestamp_format is "{source.config.timestamp_format}", and'
        f" {_some(texts)} "
    )
    formats = fits.formats(texts)
    if not formats:
        return written + "are in no format that is known; is columns.timestamp the right column?"
    return written + f"would fit {' or '.join(map(_quoted, formats[:_SHOWN]))}"


def _value(source: Source, found: Sequence[Head], rows: pa.Table) -> str:
    texts = rows["value"].combine_chunks()
    return (
        number_advice(source.setting, texts)
        or f"columns.value has {_some(texts)}; is it the right column?"
    )


def number_advice(setting: str, texts: pa.Array) -> str:
    """How to write that numbers are written so; "" where no way is known."""
    ways = fits.number_ways(texts)
    if not ways:
        return ""
    thousands = f' and {setting}.thousands = "{ways[0].thousands}"' if ways[0].thousands else ""
    return f'{_some(texts)} would be read by {setting}.decimal = "{ways[0].decimal}"{thousands}'


def _encoding(source: Source, found: Sequence[Head], rows: pa.Table) -> str:
    if kind_of(source.config, [found[0].file]) == "parquet":
        return ""
    with storage.open_input(found[0].file.path) as opened:
        names = fits.encodings(opened.read(_START))
    return (
        f"{source.setting}.encoding = {' or '.join(map(_quoted, names[:_SHOWN]))} would decode it"
        if names
        else ""
    )


def _quotes(source: Source, found: Sequence[Head], rows: pa.Table) -> str:
    dialect = source.config.dialect("csv")
    ways = {
        'escape = "\\\\"': replace(dialect, escape="\\"),
        'quote = ""': replace(dialect, quote=""),
    }
    known = [
        way for way, other in ways.items() if _problems(found, source, other) < 1 - fits.ENOUGH
    ]
    return f"with {source.setting}.{known[0]} they would be read" if known else ""


def _fields(source: Source, found: Sequence[Head], rows: pa.Table) -> str:
    for separator in records.SEPARATORS:
        other = source.config.dialect("csv").with_separator(separator)
        if (
            separator != source.config.separator
            and _problems(found, source, other) < 1 - fits.ENOUGH
        ):
            return f"with {source.setting}.separator = {_quoted(separator)} they would be read"
    return ""


def _problems(found: Sequence[Head], source: Source, dialect: Dialect) -> float:
    """The share of the first file's rows that do not parse in a dialect; all where a column is
    not there then.
    """
    try:
        with storage.open_input(found[0].file.path) as opened:
            head = text.head(opened, str(found[0].file.path), dialect, source.wanted)
    except EmberlineError:
        return 1.0
    return (
        1.0
        if head is None or not head[1].num_rows
        else 1 - head[1]["problem"].null_count / head[1].num_rows
    )


def _some(texts: pa.Array) -> str:
    """The first few different texts, quoted."""
    shown = pc.unique(texts.drop_null())[:_SHOWN].to_pylist()
    return ", ".join(repr(one if len(one) <= 40 else one[:40] + "...") for one in shown)


def _quoted(text_: str) -> str:
    return '"' + text_.replace("\t", "\\t") + '"'


_ADVICE: dict[str, Callable[[Source, Sequence[Head], pa.Table], str]] = {
    "timestamp is not": _timestamp,
    "value is not a number": _value,
    "not valid ": _encoding,
    "unbalanced quotes": _quotes,
    "wrong number of fields": _fields,
}
