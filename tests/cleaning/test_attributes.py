"""Attributes of batches, without Spark: lists in cells and of JSON, and numbers that are none."""

import pyarrow as pa

from emberline.cleaning import attributes
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
