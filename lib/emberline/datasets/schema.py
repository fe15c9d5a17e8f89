"""The fields of every table that Emberline writes, stated once.

`user` and `item` are dense int32 indices; `user_id` and `item_id` are the outside ids as text.
Factors are `list<float32>` of the length that the manifest calls rank.
"""

import pyarrow as pa

USER = pa.field("user", pa.int32(), nullable=False)
ITEM = pa.field("item", pa.int32(), nullable=False)
_USER_ID = pa.field("user_id", pa.string(), nullable=False)
_ITEM_ID = pa.field("item_id", pa.string(), nullable=False)
_FACTORS = pa.field("factors", pa.list_(pa.float32()), nullable=False)
_VALUE = pa.field("value", pa.float32(), nullable=False)
_TIMESTAMP = pa.field("timestamp", pa.timestamp("us", tz="UTC"))

RATINGS = pa.schema([USER, ITEM, _VALUE, _TIMESTAMP])
# `split` is what the input says: train, validation, test, or null where it says nothing
INTERACTIONS = pa.schema([*RATINGS, pa.field("split", pa.string())])
HOLDOUT = pa.schema([USER, ITEM, _VALUE, _TIMESTAMP, pa.field("cold", pa.bool_(), nullable=False)])
USERS = pa.schema([USER, _USER_ID])
ITEMS = pa.schema([ITEM, _ITEM_ID, pa.field("title", pa.string())])
REJECTED_RATINGS = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("outcome", pa.string(), nullable=False),  # rejected, merged or filtered
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)
ATTRIBUTES = [
    pa.field("title", pa.string()),
    pa.field("text", pa.string()),
    pa.field("label", pa.string()),
    pa.field("genres", pa.list_(pa.string()), nullable=False),
    pa.field("tags", pa.list_(pa.string()), nullable=False),
    # in the order of the manifest's `numbers`; null where missing
    pa.field("numbers", pa.list_(pa.float64()), nullable=False),
    # in the order of the manifest's `categories`; null where missing
    pa.field("categories", pa.list_(pa.string()), nullable=False),
    # the words of each, in the order of the manifest's `lists`
    pa.field("lists", pa.list_(pa.list_(pa.string())), nullable=False),
]
ITEM_ATTRIBUTES = pa.schema([ITEM, _ITEM_ID, *ATTRIBUTES])
USER_ATTRIBUTES = pa.schema([USER, _USER_ID, *ATTRIBUTES])
REJECTED_ATTRIBUTES = pa.schema([pa.field("side", pa.string(), nullable=False), *REJECTED_RATINGS])
_LABEL = pa.field("label", pa.string())
# height x width x channels uint8, row-major; sizes in the manifest
_PIXELS = pa.field("pixels", pa.binary(), nullable=False)
_SAID = [_LABEL, pa.field("split", pa.string()), pa.field("group", pa.string())]
IMAGES = pa.schema([ITEM, _ITEM_ID, *_SAID, _PIXELS])
# spectrograms as pictures, row 0 the highest band; `clip` is a small WAV file of the sound, or null
SOUNDS = pa.schema([*IMAGES, pa.field("clip", pa.binary())])
REJECTED_IMAGES = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        # of the picture in a file that holds several; 0 in others
        pa.field("position", pa.int64(), nullable=False),
        pa.field("item_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
# what likeness to a landmark adds to factors is its `factors`
CONTENT_LANDMARKS = pa.schema([ITEM, *ATTRIBUTES, _FACTORS])
CONTENT_USER_LANDMARKS = pa.schema([USER, *ATTRIBUTES, _FACTORS])
CONTENT_TOKENS = pa.schema(
    [
        pa.field("view", pa.string(), nullable=False),
        pa.field("bucket", pa.int32(), nullable=False),  # of hashed tokens
        pa.field("rows", pa.int64(), nullable=False),  # that have the token
    ]
)
# see cf/quantized.py; two of `rest` to a byte
QUANTIZED_ITEM_FACTORS = pa.schema(
    [
        ITEM,
        pa.field("scale", pa.float32(), nullable=False),
        pa.field("codes", pa.binary(), nullable=False),  # int8
        pa.field("rest", pa.binary(), nullable=False),
    ]
)
QUANTIZED_USER_FACTORS = pa.schema(
    [USER, pa.field("factors", pa.list_(pa.float16()), nullable=False)]
)
USER_FACTORS = pa.schema([USER, _FACTORS])
ITEM_FACTORS = pa.schema([ITEM, _FACTORS])
ITEM_NEIGHBORS = pa.schema(
    [
        ITEM,
        pa.field("neighbor", pa.int32(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
NEIGHBOR_HISTORY = pa.schema(
    [
        ITEM,
        # the item itself where its list as a whole was first shown
        pa.field("neighbor", pa.int32(), nullable=False),
        pa.field("similarity", pa.float32()),  # null: not shown
        # the newest event when the pair was last shown anew
        pa.field("since", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)
USER_NEIGHBORS = pa.schema(
    [
        USER,
        pa.field("neighbor", pa.int32(), nullable=False),
        pa.field("similarity", pa.float32(), nullable=False),
    ]
)
SHARDS = pa.schema(
    [
        ITEM,
        _ITEM_ID,
        # train, val, test, or none: neither trained on nor measured
        pa.field("split", pa.string(), nullable=False),
        pa.field("label", pa.int32()),  # its place in the manifest's `classes`
        pa.field("factors", pa.list_(pa.float32())),
        _PIXELS,
    ]
)
_MODEL = pa.field("model", pa.string(), nullable=False)
PREDICTED_FACTORS = pa.schema([_MODEL, ITEM, _FACTORS])
PREDICTED_USER_FACTORS = pa.schema([_MODEL, USER, _FACTORS])
TOP_CLASSES = 5  # of a picture are listed, where there are as many
_CLASS_COLUMNS = [
    ITEM,
    pa.field("predicted", pa.int32(), nullable=False),  # its place in the manifest's `classes`
    pa.field("probability", pa.float32(), nullable=False),
    # up to TOP_CLASSES, the most probable first
    pa.field("top", pa.list_(pa.int32()), nullable=False),
]
PREDICTED_CLASSES = pa.schema(_CLASS_COLUMNS)
FOREST_CLASSES = pa.schema(_CLASS_COLUMNS)
EMBEDDINGS = pa.schema([ITEM, pa.field("embedding", pa.list_(pa.float32()), nullable=False)])
RECOMMENDATIONS = pa.schema(
    [
        USER,
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the best
        ITEM,
        pa.field("score", pa.float32(), nullable=False),
        # see models.py: als, content, content-user, popular and others
        _MODEL,
    ]
)
REASONS = pa.schema(
    [
        USER,
        ITEM,
        pa.field("place", pa.int32(), nullable=False),  # 1 is the strongest of its kind
        # event, neighbor, attribute, segment or popular
        pa.field("kind", pa.string(), nullable=False),
        pa.field("past_item", pa.int32()),
        pa.field("attribute", pa.string()),  # a column that is known of it, or two
        pa.field("word", pa.string()),
        pa.field("contribution", pa.float32()),
        pa.field("drop", pa.float32()),
    ]
)
# which pixels a network goes by
_LOOKED_AT = [
    pa.field("score", pa.float32(), nullable=False),
    # of a picture of the background's colour alone
    pa.field("plain_score", pa.float32(), nullable=False),
    _PIXELS,
    # what each pixel adds to the score, height x width, row-major
    pa.field("heat", pa.list_(pa.float32()), nullable=False),
]
PICTURE_REASONS = pa.schema([USER, ITEM, *_LOOKED_AT])
CLASS_REASONS = pa.schema(
    [
        ITEM,
        # places in the manifest's `classes`: its class, and what the network takes it for
        pa.field("label", pa.int32(), nullable=False),
        pa.field("predicted", pa.int32(), nullable=False),
        *_LOOKED_AT,
    ]
)
RECOMMENDABLE_ITEMS = pa.schema([ITEM])
POPULAR_ITEMS = pa.schema(
    [
        pa.field("rank", pa.int32(), nullable=False),  # 1 is the best
        ITEM,
        pa.field("score", pa.float32(), nullable=False),  # its number of ratings
    ]
)
# counts about all people, with noise; see counts/mechanisms.py
_PEOPLE = pa.field("users", pa.int64(), nullable=False)
_SEGMENT = pa.field("segment", pa.string(), nullable=False)
NOISY_ITEM_COUNTS = pa.schema([ITEM, _PEOPLE])
NOISY_CLASS_COUNTS = pa.schema(
    [
        pa.field("label", pa.string(), nullable=False),
        pa.field("ratings", pa.int64(), nullable=False),
    ]
)
NOISY_SEGMENTS = pa.schema([_SEGMENT, _PEOPLE])
NOISY_SEGMENT_COUNTS = pa.schema([_SEGMENT, ITEM, _PEOPLE])
# which report of metrics.json, which of its models, and which metric
_MEASURED = [pa.field(name, pa.string(), nullable=False) for name in ("report", "model", "metric")]
_MEASURES = [
    pa.field("value", pa.float64(), nullable=False),
    # how much it counts for the metric, which is the mean
    pa.field("weight", pa.float64(), nullable=False),
]
USER_MEASURES = pa.schema([*_MEASURED, USER, *_MEASURES])
ITEM_MEASURES = pa.schema([*_MEASURED, ITEM, *_MEASURES])

TABLES: dict[str, pa.Schema] = {
    "interactions": INTERACTIONS,
    "ratings": RATINGS,
    "validation": RATINGS,
    "holdout": HOLDOUT,
    "users": USERS,
    "items": ITEMS,
    "rejected_ratings": REJECTED_RATINGS,
    "item_attributes": ITEM_ATTRIBUTES,
    "user_attributes": USER_ATTRIBUTES,
    "rejected_attributes": REJECTED_ATTRIBUTES,
    "images": IMAGES,
    "rejected_images": REJECTED_IMAGES,
    "sounds": SOUNDS,
    "rejected_sounds": REJECTED_IMAGES,
    "user_factors": USER_FACTORS,
    "item_factors": ITEM_FACTORS,
    "user_rating_factors": USER_FACTORS,
    "item_rating_factors": ITEM_FACTORS,
    "item_neighbors": ITEM_NEIGHBORS,
    "user_neighbors": USER_NEIGHBORS,
    "blended_user_factors": USER_FACTORS,
    "blended_item_factors": ITEM_FACTORS,
    "refitted_user_factors": USER_FACTORS,
    "refitted_item_factors": ITEM_FACTORS,
    "refitted_item_neighbors": ITEM_NEIGHBORS,
    "refitted_user_neighbors": USER_NEIGHBORS,
    "quantized_user_factors": QUANTIZED_USER_FACTORS,
    "quantized_item_factors": QUANTIZED_ITEM_FACTORS,
    "steady_item_neighbors": ITEM_NEIGHBORS,
    "neighbor_history": NEIGHBOR_HISTORY,
    "noisy_item_counts": NOISY_ITEM_COUNTS,
    "noisy_class_counts": NOISY_CLASS_COUNTS,
    "noisy_segments": NOISY_SEGMENTS,
    "noisy_segment_counts": NOISY_SEGMENT_COUNTS,
    "shards_train": SHARDS,
    "shards_val": SHARDS,
    "shards_test": SHARDS,
    "shards_all": SHARDS,
    "predicted_factors": PREDICTED_FACTORS,
    "content_factors": PREDICTED_FACTORS,
    "content_user_factors": PREDICTED_USER_FACTORS,
    "content_landmarks": CONTENT_LANDMARKS,
    "content_tokens": CONTENT_TOKENS,
    "content_user_landmarks": CONTENT_USER_LANDMARKS,
    "content_user_tokens": CONTENT_TOKENS,
    "baseline_factors": PREDICTED_FACTORS,
    "predicted_classes": PREDICTED_CLASSES,
    "embeddings": EMBEDDINGS,
    "forest_classes": FOREST_CLASSES,
    "holdout_recommendations": RECOMMENDATIONS,
    "recommendations": RECOMMENDATIONS,
    "reasons": REASONS,
    "picture_reasons": PICTURE_REASONS,
    "class_reasons": CLASS_REASONS,
    "recommendable_items": RECOMMENDABLE_ITEMS,
    "holdout_recommendable_items": RECOMMENDABLE_ITEMS,
    "popular_items": POPULAR_ITEMS,
    "user_measures": USER_MEASURES,
    "item_measures": ITEM_MEASURES,
}


def fields_of(schema: pa.Schema) -> list[dict[str, object]]:
    """The schema as a manifest writes it: name, type and nullability of each column."""
    return [
        {"name": field.name, "type": _type_name(field.type), "nullable": field.nullable}
        for field in schema
    ]


def _type_name(kind: pa.DataType) -> str:
    return f"list<{_type_name(kind.value_type)}>" if pa.types.is_list(kind) else str(kind)
