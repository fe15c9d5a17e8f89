"""Rows of wanted columns as records: their raw text, a JSON object, what is wrong with them, and
the values as text.
"""

import json
from collections.abc import Collection, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from emberline.records import columns
from emberline.records.arrow_texts import (
    as_moment,
    as_text,
    is_list,
    is_moment,
    plain,
    plain_type,
    words_of,
)
from emberline.records.objects import WORDS
from emberline.records.parquet_columns import Column
from emberline.records.splitting import Positions


def records_of(
    batch: pa.RecordBatch,
    found: Mapping[str, Column],
    lists: Collection[str],
    moments: Collection[str],
) -> pa.RecordBatch:
    problems: list[tuple[str, Positions]] = []
    readable: dict[str, pa.Array] = {}
    texts: dict[str, pa.Array] = {}
    for new, column in found.items():
        values = column.of(batch)
        if new in lists and is_list(plain_type(column.kind)):
            texts[new], more = words_of(values)
            readable.setdefault(column.name, _listed(texts[new]))
        else:
            text, more = as_text(values)
            wants_moment = new in moments and is_moment(plain_type(column.kind))
            texts[new] = as_moment(values) if wants_moment else text
            readable.setdefault(column.name, _as_json(text, plain(values)))
        problems += more
    raw = _objects(readable, batch.num_rows)
    return pa.record_batch(
        [raw, columns.labels(batch.num_rows, problems), *texts.values()], ["raw", "problem", *texts]
    )


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
