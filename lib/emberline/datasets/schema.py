"""The fields of every table that Emberline writes, stated once.

`user` and `item` are dense int32 indices; `user_id` and `item_id` are the outside ids as text. Factors are `list<float32>` of the
length that the manifest calls rank.
"""

import pyarrow as pa

USER = pa.field("user", pa.int32(), nullable=False)
ITEM = pa.field("item", pa.int32(), nullable=False)
_FACTORS = pa.field("factors", pa.list_(pa.float32()), nullable=False)
_VALUE = pa.field("value", pa.float32(), nullable=False)
_TIMESTAMP = pa.field("timestamp", pa.timestamp("us", tz="UTC"))

RATINGS = pa.schema([USER, ITEM, _VALUE, _TIMESTAMP])
HOLDOUT = pa.schema([USER, ITEM, _VALUE, _TIMESTAMP, pa.field("cold", pa.bool_(), nullable=False)])
USERS = pa.schema([USER, pa.field("user_id", pa.string(), nullable=False)])
ITEMS = pa.schema([ITEM, pa.field("item_id", pa.string(), nullable=False), pa.field("title", pa.string())])
REJECTED_RATINGS = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # rejected, merged or filtered
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)
USER_FACTORS = pa.schema([USER, _FACTORS])
ITEM_FACTORS = pa.schema([ITEM, _FACTORS])
ITEM_NEIGHBORS = pa.schema(
    [ITEM, pa.field("neighbor", pa.int32(), nullable=False), pa.field("similarity", pa.float32(), nullable=False)]
)
USER_NEIGHBORS = pa.schema(
    [USER, pa.field("neighbor", pa.int32(), nullable=False), pa.field("similarity", pa.float32(), nullable=False)]
)
RECOMMENDATIONS = pa.schema(
    [
        USER,
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the best
        ITEM,
        pa.field("score", pa.float32(), nullable=False),
        pa.field("rung", pa.string(), nullable=False),  # als, item-neighbors, user-neighbors or popular
    ]
)

TABLES: dict[str, pa.Schema] = {
    "ratings": RATINGS,
    "holdout": HOLDOUT,
    "users": USERS,
    "items": ITEMS,
    "rejected_ratings": REJECTED_RATINGS,
    "user_factors": USER_FACTORS,
    "item_factors": ITEM_FACTORS,
    "item_neighbors": ITEM_NEIGHBORS,
    "user_neighbors": USER_NEIGHBORS,
    "recommendations": RECOMMENDATIONS,
}


def fields_of(schema: pa.Schema) -> list[dict[str, object]]:
    """The schema as a manifest writes it: name, type and nullability of each column."""
    return [{"name": field.name, "type": _type_name(field.type), "nullable": field.nullable} for field in schema]


def _type_name(kind: pa.DataType) -> str:
    return f"list<{_type_name(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)
