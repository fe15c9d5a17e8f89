"""JSON lines read as records: lists, objects, paths, and what is said of a line that is no
object.
"""

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emberline.errors import DataError, SchemaError
from emberline.records import heads, objects, text
from emberline.records.dialect import Dialect
from emberline.records.objects import WORDS

WANTED: dict[str, str | int] = {"user_id": "u", "item_id": "i"}
JSON = Dialect(kind="json")


def _read(
    content: bytes | str, wanted: dict[str, str | int] = WANTED, lists: tuple[str, ...] = ()
) -> list[tuple[Any, ...]]:
    data = content.encode() if isinstance(content, str) else content
    layout = text.layout_of(heads.read_head(io.BytesIO(data), "a.json", "utf-8"), JSON)
    assert layout is not None
    batches = text.read(io.BytesIO(data), "a.json", layout, wanted, lists)
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(["u", "i", "x"]), scalars), min_size=1))
def test_values_are_those_that_pythons_json_module_reads(rows: list[dict[str, Any]]) -> None:
    found = _read("\n".join(json.dumps(row) for row in rows))
    expected = [tuple(_written(row.get(key)) for key in "ui") for row in rows]
    assert [row[2:] for row in found] == expected
    assert {row[1] for row in found} == {None}


def _written(value: Any) -> str | None:
    return None if value is None else value if isinstance(value, str) else json.dumps(value)


def test_a_list_is_words_where_there_may_be_several_and_a_problem_in_an_id() -> None:
    lines = (
        '{"u": 1, "g": ["a|b", "c"], "i": ["x"]}\n{"u": 2, "g": "a|b", "i": "x"}\n{"u": 3, "g": [],'
        ' "i": [["x"]]}\n'
    )
    found = _read(lines, {"id": "u", "genres": "g"}, ("genres",))
    assert [row[1:] for row in found] == [
        (None, "1", f"{WORDS}a|b{WORDS}c"),
        (None, "2", "a|b"),
        (None, "3", WORDS),
    ]
    assert [row[1] for row in _read(lines)] == ["i is a list", None, "i is a list"]
    assert [row[1] for row in _read(lines, {"tags": "i"}, ("tags",))] == [
        None,
        None,
        "i is a list of more than words",
    ]


def test_a_path_reaches_into_objects_unless_a_key_has_its_name() -> None:
    lines = (
        '{"_id": {"$oid": "a"}, "i": 1}\n{"_id.$oid": "b", "_id": {"$oid": "c"}, "i": 2}\n{"_id":'
        ' "d", "i": 3}\n'
    )
    assert [row[2] for row in _read(lines, {"id": "_id.$oid"})] == ["a", "b", None]
    assert [row[1] for row in _read(lines, {"id": "_id"})] == [
        "_id is an object",
        "_id is an object",
        None,
    ]


def test_columns_that_no_object_of_the_head_has_are_told_and_objects_refused_by_name() -> None:
    head = heads.read_head(
        io.BytesIO(b'{"u": {"$oid": "a", "at": {"$date": 1}}, "i": 1}\n'), "a.json", "utf-8"
    )
    assert objects.missing(head, {"item_id": "i", "title": "name", "user_id": "u.$oid"}) == {"name"}
    with pytest.raises(
        SchemaError,
        match=r"a\.json: u is an object, .*name what is meant in it: 'u\.\$oid' or 'u\.at\.\$date'",
    ):
        objects.missing(head, {"user_id": "u"})


def test_half_of_a_surrogate_pair_and_a_nul_reject_their_rows_only() -> None:
    rows = _read(
        '{"u": "\\ud800", "i": 1}\n{"u": "a\\u0000", "i": 1}\n{"u": "\\ud83d\\ude00", "i": 1}\n'
    )
    assert [row[1] for row in rows] == [
        "holds half of a surrogate pair",
        "holds a NUL character (a zero byte)",
        None,
    ]
    assert rows[2][2] == "😀"


def test_an_array_is_no_json_lines() -> None:
    with pytest.raises(DataError, match="is not JSON lines: expected one object"):
        _read('[{"u": 1},\n{"u": 2}]')


def test_deep_nesting_is_no_object() -> None:
    assert [row[1] for row in _read('{"u": 1}\n{"u": ' + "[" * 100_000 + "]" * 100_000 + "}\n")][
        1:
    ] == ["not a JSON object"]
