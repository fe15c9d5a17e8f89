"""The tables' fields, checked for what the rest of the house takes for granted."""

import json

import pyarrow as pa
import pytest

from emberline.datasets.schema import TABLES, fields_of


def test_a_field_is_written_as_name_type_and_nullability() -> None:
    schema = pa.schema(
        [
            pa.field("user", pa.int32(), nullable=False),
            pa.field("when", pa.timestamp("us", tz="UTC")),
            pa.field("factors", pa.list_(pa.float32()), nullable=False),
            pa.field("nested", pa.list_(pa.list_(pa.string()))),
        ]
    )
    assert fields_of(schema) == [
        {"name": "user", "type": "int32", "nullable": False},
        {"name": "when", "type": "timestamp[us, tz=UTC]", "nullable": True},
        {"name": "factors", "type": "list<float>", "nullable": False},
        {"name": "nested", "type": "list<list<string>>", "nullable": True},
    ]


def test_the_name_of_a_lists_child_does_not_matter() -> None:
    """Spark, pyarrow and Parquet call it item or element as they please."""
    item, element = (
        pa.schema([("factors", pa.list_(pa.field(name, pa.float32())))])
        for name in ("item", "element")
    )
    assert fields_of(item) == fields_of(element)


@pytest.mark.parametrize("name", TABLES)
def test_fields_survive_json(name: str) -> None:
    assert json.loads(json.dumps(fields_of(TABLES[name]))) == fields_of(TABLES[name])


@pytest.mark.parametrize("name", TABLES)
def test_dense_indices_are_never_null_and_fit_into_four_bytes(name: str) -> None:
    indices = [field for field in TABLES[name] if field.name in ("user", "item", "neighbor")]
    assert all(field.type == pa.int32() and not field.nullable for field in indices)
    without = {"noisy_class_counts", "noisy_segments"}
    without |= {each for each in TABLES if each.startswith("rejected_") or each.endswith("_tokens")}
    assert bool(indices) == (name not in without)
