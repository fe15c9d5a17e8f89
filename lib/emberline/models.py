"""What answers, in one table: models, the baselines they are measured beside, parts of models, by
which it is told what each is worth, and the bound that none reaches.

A name is what stands in the column `model` of tables and in the rows of `metrics.json`. To add a
model, add its row here and its module in `scoring/models/`.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Names = tuple[str, ...]
EXPORTED = "exported_model"  # the network in small forms
ITEM_INDEX = "item_index"  # by which a release's items are found without looking at all
Role = Literal["model", "baseline", "part", "bound"]


@dataclass(frozen=True)
class Model:
    """One row: `caption` says what its answers are, `badge` names it where a word has room.

    A model answers each question from tables: who likes what (`lists`), which rating would somebody
    give (`ratings`), how are items ranked that nobody has rated (`new_items`), what do people like
    who have rated nothing (`new_users`), and what is in a picture (`classes`). What it has learnt
    is `kept` in tables, where it is more than its answers.
    """

    name: str
    role: Role
    caption: str
    badge: str = ""
    lists: Names = ()
    ratings: Names = ()
    new_items: Names = ()
    new_users: Names = ()
    classes: Names = ()
    kept: Names = ()

    @property
    def tables(self) -> Names:
        """All that it answers from."""
        every = (*self.lists, *self.ratings, *self.new_items, *self.new_users, *self.classes)
        return tuple(dict.fromkeys(every))


ALS = Model(
    "als",
    "model",
    "factors of users and items by alternating least squares",
    badge="factors",
    lists=("user_factors", "item_factors"),
    ratings=("user_rating_factors", "item_rating_factors"),
)
ITEM_NEIGHBORS = Model(
    "item-neighbors",
    "model",
    "items most similar to those in the user's history",
    badge="similar items",
    lists=("item_neighbors",),
    ratings=("item_neighbors",),
)
USER_NEIGHBORS = Model(
    "user-neighbors",
    "model",
    "what the most similar users rated",
    badge="similar users",
    lists=("user_neighbors",),
    ratings=("user_neighbors",),
)
CNN = Model(
    "cnn",
    "model",
    "what the network predicts from pictures alone",
    badge="new",
    new_items=("predicted_factors",),
    classes=("predicted_classes",),
)
CONTENT = Model(
    "content",
    "model",
    "what words, categories, numbers and pictures say of an item",
    badge="new",
    new_items=("content_factors",),
    kept=("content_landmarks", "content_tokens"),
)
WORDS = Model(
    "content-words",
    "part",
    "what words, categories and numbers say of an item, without its picture",
    new_items=("content_factors",),
)
CONTENT_USER = Model(
    "content-user",
    "model",
    "what is known of a user besides a history",
    badge="new user",
    new_users=("content_user_factors",),
    kept=("content_user_landmarks", "content_user_tokens"),
)
FOREST = Model(
    "forest",
    "model",
    "a random forest on the network's embeddings",
    classes=("forest_classes",),
)

POPULAR = Model(
    "popular",
    "baseline",
    "the most rated items, where the model had not enough",
    badge="popular",
    lists=("popular_items",),
)
POPULAR_IN_SEGMENT = Model(
    "popular-in-segment",
    "baseline",
    "the most rated items among people who have something in common",
    badge="popular in group",
)
MOST_POPULAR = Model("most-popular", "baseline", "the most rated items, the same for everybody")
RANDOM = Model("random", "baseline", "drawn at random")

BIASES = Model(
    "biases", "baseline", "the mean, and what the user and the item deviate from it by, damped"
)
ITEM_MEAN = Model("item-mean", "baseline", "the item's mean rating")
USER_MEAN = Model("user-mean", "baseline", "the user's mean rating")
GLOBAL_MEAN = Model("global-mean", "baseline", "the mean of all ratings")

_FACTORS = ("baseline_factors",)
NEIGHBORS_PIXELS = Model(
    "neighbors-pixels",
    "baseline",
    "mean factors of the items whose pictures are most alike",
    new_items=_FACTORS,
)
NEIGHBORS_HISTOGRAM = Model(
    "neighbors-histogram",
    "baseline",
    "mean factors of the items whose colours are most alike",
    new_items=_FACTORS,
)
LINEAR_PIXELS = Model(
    "linear-pixels", "baseline", "ridge regression on averaged pixels", new_items=_FACTORS
)
LINEAR_HISTOGRAM = Model(
    "linear-histogram",
    "baseline",
    "ridge regression on the shares of colours",
    new_items=_FACTORS,
)
KERNEL_HISTOGRAM = Model(
    "kernel-histogram",
    "baseline",
    "kernel regression on the shares of colours",
    new_items=_FACTORS,
)
MEAN_FACTORS = Model(
    "mean-factors", "baseline", "mean factors: the same for every item", new_items=_FACTORS
)
ORACLE = Model(
    "oracle",
    "bound",
    "the factors that the withheld ratings themselves give: an upper bound, not a competitor",
    new_items=_FACTORS,
)

MOST_FREQUENT = Model("most-frequent", "baseline", "always the most frequent class")

MODELS: dict[str, Model] = {
    model.name: model
    for model in (
        ALS,
        ITEM_NEIGHBORS,
        USER_NEIGHBORS,
        CONTENT,
        CONTENT_USER,
        WORDS,
        CNN,
        FOREST,
        POPULAR,
        POPULAR_IN_SEGMENT,
        MOST_POPULAR,
        RANDOM,
        BIASES,
        ITEM_MEAN,
        USER_MEAN,
        GLOBAL_MEAN,
        NEIGHBORS_PIXELS,
        NEIGHBORS_HISTOGRAM,
        LINEAR_PIXELS,
        LINEAR_HISTOGRAM,
        KERNEL_HISTOGRAM,
        MEAN_FACTORS,
        ORACLE,
        MOST_FREQUENT,
    )
}
LIST_MODELS: Names = tuple(
    model.name for model in MODELS.values() if model.role == "model" and model.lists
)
LIST_TABLES: Names = tuple(table for name in LIST_MODELS for table in MODELS[name].lists)


def answering(question: str, tables: Collection[str]) -> list[Model]:
    """The models, no baselines, that answer a question (`lists`, `ratings`, `new_items`) from
    tables that are there; of those that rank new items, the better one first.
    """
    return [
        model
        for model in MODELS.values()
        if model.role == "model"
        and (wanted := getattr(model, question))
        and all(name in tables for name in wanted)
    ]


def refitted(table: str) -> str:
    """What the table of a model of lists is called when it is made from all interactions, those
    too that were withheld from training.
    """
    return f"refitted_{table}"


def quantized(table: str) -> str | None:
    """What the factors that lists are made by are called in fewer bytes; None for other tables."""
    for side in ALS.lists:
        if table in (side, blended(side), refitted(side)):
            return f"quantized_{side}"
    return None


def blended(table: str) -> str:
    """What a table of factors is called when items are held to what is said of them."""
    return f"blended_{table}"


def outdating(table: str) -> Names:
    """The tables of the same model that lists are made from in its place, where they are there: the
    best first.
    """
    of_all = refitted(table.removeprefix(blended("")))
    return (of_all, blended(table)) if of_all == refitted(table) else (of_all,)


_WITHOUT = f"{CONTENT.name}-without-"


def without(column: str) -> str:
    """What `content` is called where a column that it knows is left out."""
    return _WITHOUT + column


def role_of(name: str) -> Role | None:
    """The role of what is called so; None for a name that is not in the table."""
    if name.startswith(_WITHOUT):
        return "part"
    return MODELS[name].role if name in MODELS else None


def caption_of(name: str) -> str:
    """What the answers of this name are; empty for one that is not in the table."""
    if name.startswith(_WITHOUT):
        return f"what is known of an item, but for its {name.removeprefix(_WITHOUT)}"
    return MODELS[name].caption if name in MODELS else ""
