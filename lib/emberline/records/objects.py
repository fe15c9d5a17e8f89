"""JSON lines as batches of records: raw text, what is wrong with it, and the wanted values as text.

A value is text as JSON writes it. A list is the words of a column that may hold several, and a
problem elsewhere; an object is a problem, into which a path reaches: `_id.$oid` is the value of
`$oid` in the object `_id`, unless a key has that very name.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from emberline.errors import ConfigError, DataError, SchemaError
from emberline.records import columns
from emberline.records.decoding import BAD, REPLACEMENT, Block
from emberline.records.dialect import Dialect
from emberline.records.heads import Head, Layout, Wanted, shorten
from emberline.records.separated import NUL, holding, too_long
from emberline.records.splitting import Lines, Positions, split_lines

NOT_AN_OBJECT = "not a JSON object"
LONE_SURROGATE = "holds half of a surrogate pair"
WORDS = "\x1f"  # a text that begins with it is a list's words, each behind one
Object = dict[str, Any]


def _number(text: str) -> str:
    """A number as it stands, or, if it has an exponent, as Python writes it."""
    return repr(float(text)) if "e" in text.lower() else text


_DECODER = json.JSONDecoder(parse_int=str, parse_float=_number, parse_constant=str)


def batches(
    blocks: Iterator[Block], encoding: str, keys: Mapping[str, str], lists: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Columns raw, problem and, as text, the values of `keys`, of which `lists` may be lists: a
    row for every line not blank.
    """
    for block in blocks:
        if block.is_long:
            yield too_long(block.data, list(keys))
        elif block.data:
            yield _batch(block.data, encoding, keys, lists)


def _batch(
    data: bytes, encoding: str, keys: Mapping[str, str], lists: Collection[str]
) -> pa.RecordBatch:
    lines = _filled(split_lines(data))
    problems = [
        (f"not valid {encoding}", holding(lines, BAD)),
        (NUL, holding(lines, b"\0")),
    ]
    raw = columns.texts(data.replace(BAD, REPLACEMENT), (lines.starts, lines.ends))
    objects = [_object(line) for line in raw.to_pylist()]
    problems.append((NOT_AN_OBJECT, _where(found is None for found in objects)))
    arrays = []
    for new, key in keys.items():
        array, more = _column(objects, key, new in lists)
        arrays.append(array)
        problems += more
    return pa.record_batch(
        [raw, columns.labels(len(raw), problems), *arrays], ["raw", "problem", *keys]
    )


def _filled(lines: Lines) -> Lines:
    """The lines that are not blank."""
    filled = lines.ends > lines.starts
    for number in np.flatnonzero(
        filled & (lines.bytes[np.minimum(lines.starts, len(lines.data) - 1)] == 32)
    ).tolist():
        filled[number] = bool(lines.data[lines.starts[number] : lines.ends[number]].strip(b" "))
    return Lines(lines.data, lines.starts[filled], lines.ends[filled])


def _object(line: str) -> Object | None:
    text = line.strip(" \t\r\n")
    try:
        found, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return found if type(found) is dict and end == len(text) else None


def _where(mask: Iterable[bool]) -> Positions:
    return np.flatnonzero(np.fromiter(mask, bool))


def value(found: Object, key: str) -> Any:
    """The value of a key, or of a path into objects; None without one."""
    if key in found or "." not in key:
        return found.get(key)
    return _reached(found, key)[1]


def has(found: Object, key: str) -> bool:
    """Whether there is such a key or path, whatever its value."""
    return key in found or _reached(found, key)[0]


def _reached(found: Object, path: str) -> tuple[bool, Any]:
    """Whether a path leads anywhere, and where; names within it may hold dots."""
    parts = path.split(".")
    for n in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:n]), ".".join(parts[n:])
        if name in found:
            inner = found[name]
            if not rest:
                return True, inner
            if isinstance(inner, dict):
                return _reached(inner, rest)
    return False, None


def _column(
    objects: Sequence[Object | None], key: str, is_list: bool
) -> tuple[pa.Array, list[tuple[str, Positions]]]:
    """The values of a key as text, and what is wrong in which rows."""
    values = [None if found is None else value(found, key) for found in objects]
    kinds = set(map(type, values))
    problems = (
        [(f"{key} is an object", _where(type(v) is dict for v in values))] if dict in kinds else []
    )
    if list in kinds:
        wrong = (type(v) is list and not (is_list and _are_words(v)) for v in values)
        problems.append(
            (
                f"{key} is a list" if not is_list else f"{key} is a list of more than words",
                _where(wrong),
            )
        )
    texts = values if kinds <= {str, type(None)} else [_text(v, is_list) for v in values]
    try:
        array = pa.array(texts, pa.string())
    except UnicodeEncodeError:
        problems.append(
            (LONE_SURROGATE, _where(v is not None and not _is_unicode(v) for v in texts))
        )
        array = pa.array(
            [None if v is None else v.encode("utf-8", "replace").decode() for v in texts],
            pa.string(),
        )
    if any("\0" in v for v in texts if v):
        problems.append((NUL, _where(v is not None and "\0" in v for v in texts)))
    return array, problems


def _text(found: Any, is_list: bool) -> str | None:
    """A value as text; None for one that is a problem."""
    if type(found) is bool:
        return "true" if found else "false"
    if type(found) is list:
        return (
            "".join(WORDS + (_text(v, False) or "") for v in found) or WORDS
            if is_list and _are_words(found)
            else None
        )
    return None if type(found) is dict else found


def _are_words(found: list[Any]) -> bool:
    return not any(isinstance(v, (list, dict)) for v in found)


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


# --------------------------------------------------------------------------------------------------
# heads


def layout(head: Head, dialect: Dialect) -> Layout | None:
    """The keys that a file's first objects have. Raises DataError where the first line is no
    object.
    """
    texts = _texts(head)
    first = next((text for text in texts if text.strip()), None)
    if first is None:
        return None
    if not first.lstrip().startswith("{"):
        raise DataError(
            f"{head.name} is not JSON lines: expected one object {{...}} per line, found"
            f" {shorten(first)}"
        )
    names = dict.fromkeys(name for text in texts for name in _object(text) or {})
    return Layout(dialect, tuple(names), len(names))


def _texts(head: Head) -> list[str]:
    lines = _filled(split_lines(head.data))
    found: list[str] = columns.texts(
        head.data.replace(BAD, REPLACEMENT), (lines.starts, lines.ends)
    ).to_pylist()
    return found


def keys_of(wanted: Wanted) -> dict[str, str]:
    """The wanted keys. Raises ConfigError for a position, which objects have not."""
    if any(isinstance(column, int) for column in wanted.values()):
        raise ConfigError("columns of JSON have names, found a position; give the names")
    return {new: str(column) for new, column in wanted.items()}


def missing(head: Head, wanted: Wanted) -> set[str]:
    """The wanted keys that no object of a file's head has. Raises SchemaError for one whose
    values are all objects.
    """
    objects = [found for line in _texts(head) if (found := _object(line))]
    keys = set(keys_of(wanted).values())
    for key in sorted(keys):
        values = [v for found in objects if (v := value(found, key)) is not None]
        if values and all(isinstance(v, dict) for v in values):
            paths = list(_leaves(values[0], key))
            raise SchemaError(
                f"{head.name}: {key} is an object,"
                f" {shorten(json.dumps(values[0], ensure_ascii=False))}; name what is meant in it:"
                f" {' or '.join(map(repr, paths[:5]))}"
            )
    return {key for key in keys if not any(has(found, key) for found in objects)}


def _leaves(found: Object, path: str) -> Iterator[str]:
    """The paths to the values in an object that are no objects."""
    for name, inner in found.items():
        yield from (
            _leaves(inner, f"{path}.{name}") if isinstance(inner, dict) else [f"{path}.{name}"]
        )


def count(blocks: Iterator[Block]) -> int:
    """How many records there are."""
    return sum(
        1 if block.is_long else len(_filled(split_lines(block.data)).starts)
        for block in blocks
        if block.data
    )


def count_present(blocks: Iterator[Block], keys: Sequence[str]) -> list[int]:
    """In how many objects each of the keys is."""
    counts = [0] * len(keys)
    for block in blocks:
        lines = split_lines(block.data.replace(BAD, REPLACEMENT))
        for line in columns.texts(lines.data, (lines.starts, lines.ends)).to_pylist():
            found = _object(line) or {}
            counts = [count + has(found, key) for count, key in zip(counts, keys, strict=True)]
    return counts
