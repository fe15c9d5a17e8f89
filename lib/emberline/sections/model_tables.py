"""The tables that each model of [recommend] is read from."""

from emberline.sections.stage import Names

MODEL_TABLES: dict[str, Names] = {
    "als": ("user_factors", "item_factors"),
    "item-neighbors": ("item_neighbors",),
    "user-neighbors": ("user_neighbors",),
}

RATING_TABLES: Names = ("user_rating_factors", "item_rating_factors")
