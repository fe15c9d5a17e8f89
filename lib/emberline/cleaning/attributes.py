"""Raw rows of what is known of items or users, as texts, to attributes, or to a reason why a
row has none.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from emberline.cleaning import ids, numbers, texts
from emberline.cleaning.ids import IdRules
from emberline.cleaning.numbers import NumberRules
from emberline.cleaning.texts import TextRules
from emberline.records.objects import WORDS

SINGLE = ("title", "text", "label")
LISTS = ("genres", "tags")
NAMED = ("numbers", "categories", "lists")  # in which each name has a place
SCHEMA = pa.schema(
    {
        "source_file": pa.string(),
        "raw": pa.string(),
        "id": pa.string(),
        **dict.fromkeys(SINGLE, pa.string()),
        **dict.fromkeys(LISTS, pa.list_(pa.string())),
        "numbers": pa.list_(pa.float64()),
        "categories": pa.list_(pa.string()),
        "lists": pa.list_(pa.list_(pa.string())),
        "reason": pa.string(),
        "spelling": pa.string(),
        "unusable": pa.list_(pa.string()),
    }
)


class Named(NamedTuple):
    """The names of numbers, categories and lists besides the columns of fixed names, in their
    order.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    lists: tuple[str, ...]


@dataclass(frozen=True)
class AttributeRules:
    """What a clean row of attributes is.

    `columns` are those that the source has: id, and some of SINGLE, LISTS and `_number_n`, which is
    the n-th of all `numbers`, `_category_n` and `_list_n`; of a number that has a pattern, it is
    what its group finds in the text. `list_separator` stands between the words of a list.
    """

    columns: frozenset[str]
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    texts: TextRules = field(default_factory=TextRules)
    ids: IdRules = field(default_factory=IdRules)
    written: NumberRules = field(default_factory=NumberRules)
    list_separator: str = "|"
    patterns: Mapping[int, str] = field(default_factory=dict)


def clean(rows: pa.RecordBatch, rules: AttributeRules) -> pa.RecordBatch:
    """Columns of SCHEMA; `reason` is null for a good row, `unusable` has the names of numbers
    that are none in it.
    """
    found = {name: texts.clean(rows[name], rules.texts) for name in sorted(rules.columns)}
    spelled, one = ids.clean(found["id"], rules.ids)
    missing = pc.if_else(pc.is_null(spelled), "id is missing", None)
    not_integer = pc.if_else(pc.is_null(one), "id is not an integer", None)
    values, bad = _numbers(found, rules, rows.num_rows)
    plain = pc.utf8_trim(rows["id"], characters=" ")
    columns = [
        rows["source_file"],
        rows["raw"],
        one,
        *(found.get(name, pa.nulls(rows.num_rows, pa.string())) for name in SINGLE),
        *(_words(rows[name] if name in found else None, rules, rows.num_rows) for name in LISTS),
        values,
        _categories(found, rules, rows.num_rows),
        _named_lists(rows, rules),
        pc.coalesce(rows["problem"], missing, not_integer),
        pc.if_else(pc.fill_null(pc.equal(plain, spelled), True), None, plain),
        bad,
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def _words(written: pa.Array | None, rules: AttributeRules, count: int) -> pa.Array:
    """The words between separators, or those of a list, trimmed, none of them empty."""
    if written is None:
        return _lists(np.zeros(count, np.int64), pa.array([], pa.string()))
    one = pc.fill_null(texts.clean(written, rules.texts), "")
    is_list = pc.fill_null(pc.starts_with(written, WORDS), False)
    cut = pc.split_pattern(
        pc.if_else(is_list, written, pc.replace_substring(one, rules.list_separator, WORDS)), WORDS
    )
    words = texts.clean(pc.list_flatten(cut), TextRules((), rules.texts.normalize))
    is_word = words.is_valid()
    rows = pc.filter(pc.list_parent_indices(cut), is_word).to_numpy(zero_copy_only=False)
    return _lists(np.bincount(rows, minlength=count), pc.filter(words, is_word))


def _numbers(
    found: dict[str, pa.Array], rules: AttributeRules, count: int
) -> tuple[pa.Array, pa.Array]:
    """The numbers of each row, null where there is none or it cannot be used; and the names of
    those that cannot.
    """
    columns = [
        _number(_written(found, rules, place), rules, count) for place in range(len(rules.numbers))
    ]
    values = [value for value, _ in columns]
    unusable = np.array([bad for _, bad in columns], dtype=bool).reshape(len(columns), count)
    names = pa.array(rules.numbers, pa.string()).take(pa.array(np.nonzero(unusable.T)[1]))
    return _each(values, count, pa.float64()), _lists(unusable.sum(axis=0), names)


def _categories(found: dict[str, pa.Array], rules: AttributeRules, count: int) -> pa.Array:
    """The categories of each row, null where it has none."""
    nothing = pa.nulls(count, pa.string())
    columns = [found.get(f"_category_{n}", nothing) for n in range(len(rules.categories))]
    return _each(columns, count, pa.string())


def _named_lists(rows: pa.RecordBatch, rules: AttributeRules) -> pa.Array:
    """The words of each list of each row."""
    names = [f"_list_{n}" for n in range(len(rules.lists))]
    columns = [
        _words(rows[name] if name in rules.columns else None, rules, rows.num_rows)
        for name in names
    ]
    return _each(columns, rows.num_rows, pa.list_(pa.string()))


def _written(found: dict[str, pa.Array], rules: AttributeRules, place: int) -> pa.Array | None:
    """How a number is written, in each row."""
    written = found.get(f"_number_{place}")
    if written is None or place not in rules.patterns:
        return written
    named = re.sub(r"(?<!\\)((?:\\\\)*)\((?!\?)", r"\1(?P<number>", rules.patterns[place], count=1)
    return pc.struct_field(pc.extract_regex(written, named), "number")


def _number(
    found: pa.Array | None, rules: AttributeRules, count: int
) -> tuple[pa.Array, np.ndarray]:
    if found is None:
        return pa.nulls(count, pa.float64()), np.zeros(count, bool)
    value = numbers.parse(found, rules.written)
    finite = pc.if_else(pc.is_finite(value), value, None)  # 1e400 is infinite
    return finite, pc.and_(found.is_valid(), finite.is_null()).to_numpy(zero_copy_only=False)


def _each(columns: list[pa.Array], count: int, kind: pa.DataType) -> pa.Array:
    """Of each of so many rows its values of all columns, in their order."""
    every = pa.concat_arrays(columns) if columns else pa.array([], kind)
    order = np.arange(count * len(columns)).reshape(len(columns), count).T.ravel()
    return _lists(np.full(count, len(columns)), every.take(pa.array(order)))


def _lists(lengths: np.ndarray, values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)
