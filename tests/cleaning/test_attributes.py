"""Attributes of batches, without Spark: lists in cells and of JSON, and numbers that are none."""

import pyarrow as pa

from emberline.cleaning import attributes, merging
from emberline.cleaning.attributes import AttributeRules
from emberline.cleaning.numbers import NumberRules


def test_words_are_those_of_a_cell_or_of_a_list() -> None:
    cells = [" a | b||a ", "\x1fx|y\x1f z \x1f", "\x1f", None, "NULL", "NULL|b"]
    rows = pa.record_batch(
        {
            "source_file": ["f"] * 6,
            "raw": ["r"] * 6,
            "problem": pa.array([None] * 5 + ["torn"], pa.string()),
            "id": [" 1", "2", "3", "nan", "5", "6"],
            "tags": cells,
            "_number_0": ["1,5", "x", None, "NA", "1.5", "2"],
        }
    )
    rules = AttributeRules(
        frozenset({"id", "tags", "_number_0"}), ("price", "weight"), written=NumberRules(",")
    )
    found = attributes.clean(rows, rules)
    assert found["tags"].to_pylist() == [["a", "b", "a"], ["x|y", "z"], [], [], [], ["NULL", "b"]]
    assert found["genres"].to_pylist() == [[]] * 6
    assert found["numbers"].to_pylist() == [
        [1.5, None],
        [None, None],
        [None, None],
        [None, None],
        [None, None],
        [2.0, None],
    ]
    assert found["unusable"].to_pylist() == [[], ["price"], [], [], ["price"], []]
    assert found["reason"].to_pylist() == [None, None, None, "id is missing", None, "torn"]
    assert found["id"].to_pylist() == ["1", "2", "3", None, "5", "6"]


def test_named_categories_and_lists_have_a_place_each_whichever_source_has_them() -> None:
    rows = pa.record_batch(
        {
            "source_file": ["f"] * 3,
            "raw": ["r"] * 3,
            "problem": pa.nulls(3, pa.string()),
            "id": ["1", "2", "3"],
            "_category_1": [" Acme ", None, "NULL"],
            "_list_0": ["\x1fx|y\x1f z ", "a| b", None],
        }
    )
    rules = AttributeRules(
        frozenset({"id", "_category_1", "_list_0"}),
        categories=("shelf", "brand"),
        lists=("actors", "awards"),
    )
    found = attributes.clean(rows, rules)
    assert found["categories"].to_pylist() == [[None, "Acme"], [None, None], [None, None]]
    assert found["lists"].to_pylist() == [[["x|y", "z"], []], [["a", "b"], []], [[], []]]


def test_of_rows_of_one_id_the_first_category_counts_and_lists_are_joined() -> None:
    """Of four rows of two ids, in their order."""
    given = {
        "code": [7, 7, 7, 8],
        "place": [0, 1, 2, 0],
        "id": ["a", "a", "a", "b"],
        "categories": [[None, "x"], ["k", "y"], ["m", None], [None, None]],
        "lists": [[["b"], []], [["a", "b"], ["q"]], [[], []], [[], ["z"]]],
    }
    lists = {name: [[]] * 4 for name in ("genres", "tags", "numbers", "unusable")}
    table = pa.Table.from_pylist(
        [
            dict(zip((given | lists), row, strict=True))
            for row in zip(*(given | lists).values(), strict=True)
        ],
        schema=merging.ORDERED,
    )
    (found,) = merging.merge(iter(table.to_batches()))
    assert found["categories"].to_pylist() == [["k", "x"], [None, None]]
    assert found["lists"].to_pylist() == [[["a", "b"], ["q"]], [[], ["z"]]]
    assert found["numbers"].to_pylist() == [[], []]
