"""The section [recommend]: lists for every user."""

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.attributes import AttributeRules
from emberline.models import ALS, LIST_MODELS, MODELS, refitted
from emberline.sections import als, cosine
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.content import blended_tables, held_to
from emberline.sections.noise import CLASSES, noisy_tables
from emberline.sections.patterns import IdPatterns, id_rules
from emberline.sections.raw import TextConfig
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

    ListModel = str
else:
    ListModel = Literal[LIST_MODELS]


class _IdListConfig(TextConfig):
    """Outside ids: a column of CSV, JSON or Parquet files."""

    ids: Literal["text", "integer"] = Field(
        default="text",
        description="What an id is: any text, or an integer, of which 17850.0 and 017850 are one.",
    )
    clean_ids: IdPatterns = Field(
        default=(), description="Patterns that are replaced in ids, in their order."
    )

    _setting: ClassVar[str]  # that names the column

    @property
    def column(self) -> str | int:
        """The column of ids: its name, or its position."""
        found: str | int = getattr(self, self._setting)
        return found

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.header and isinstance(self.column, str):
            raise ValueError(
                "without a header, columns are positions counted from 1, not names: set"
                f" {self._setting} = 1"
            )
        return self

    def rules(self) -> AttributeRules:
        """What an id of the list is, as Spark's workers take it."""
        return AttributeRules(
            frozenset({"id"}), texts=self.text_rules(), ids=id_rules(self.ids, self.clean_ids)
        )


class ItemListConfig(_IdListConfig):
    """Items by their outside ids: a column of CSV, JSON or Parquet files.

    In a text file with an id a line and no header, `header = false` and `item_id = 1`.
    """

    _setting = "item_id"
    item_id: str | Positive = Field(
        default="item_id",
        description="The column of items' outside ids; without a header, its position: 1.",
    )


class UserListConfig(_IdListConfig):
    """Users by their outside ids: a column of CSV, JSON or Parquet files.

    In a text file with an id a line and no header, `header = false` and `user_id = 1`.
    """

    _setting = "user_id"
    user_id: str | Positive = Field(
        default="user_id",
        description="The column of users' outside ids; without a header, its position: 1.",
    )


class SegmentsConfig(Section):
    """Lists are filled up with what is popular among people who have something in common, before
    what is popular with all.
    """

    attribute: Literal["label", "genres", "tags"] = Field(
        description="The column of [attributes.users] that they have in common: the same label, or "
        "the same words.",
    )
    min_support: Positive = Field(
        default=20,
        description="Segments of fewer people who have rated something are not used; what is "
        "popular with all takes their place. At most the hundred largest are.",
    )


class RecommendConfig(Section):
    """Top-k lists for every user: by `model` where it has an answer, filled up with what is
    popular.

    What is published is made from all interactions, and holds none of a user's own; what is
    measured is made from those in training. Where the pipeline predicts factors, items without
    ratings compete by those.
    """

    model: ListModel = Field(
        default=ALS.name,
        description="The model that makes the lists where it has an answer; what is popular "
        "fills them up.",
    )
    top_k: Positive = Field(default=10, description="How many items each user's list has.")
    cold_share: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="The share of each list's places set aside for items without ratings, by "
        "the factors that are predicted for them.",
    )
    calibrate: bool = Field(
        default=False,
        description="Whether scores of items without ratings are made to compare with those of "
        "rated ones, so that lists hold those that are as likely to be liked; without it they are "
        "compared as they are, and hardly ever listed but in places that cold_share sets aside.",
    )
    candidates: ItemListConfig | None = Field(
        default=None,
        description="The only items that may be recommended, such as what is in stock: a file's "
        "path, or an item list.",
    )
    exclude: ItemListConfig | None = Field(
        default=None,
        description="Items that are never recommended, such as what is recalled: a file's path, "
        "or an item list.",
    )
    users: UserListConfig | None = Field(
        default=None,
        description="The only users who get lists: a file's path, or a user list; without it, all "
        "who have rated something or of whom enough is known otherwise.",
    )
    segments: SegmentsConfig | None = Field(
        default=None,
        description="By which attribute of users what is popular fills lists up; without it, what "
        "is popular with all does.",
    )
    refit: bool = Field(
        default=True,
        description="Whether published lists are by the model fitted once more to all "
        "interactions, those too that [split] withholds; metrics are of the split either way.",
    )
    refit_iterations: Positive = Field(
        default=2,
        description="How many iterations of ALS the refit takes, from the factors that training "
        "has found.",
    )

    @property
    def limits_items(self) -> bool:
        """Whether a list says which items may be recommended."""
        return self.candidates is not None or self.exclude is not None

    @field_validator("candidates", "exclude", "users", mode="before")
    @classmethod
    def _path_alone(cls, ids: Any) -> Any:
        return {"path": ids} if isinstance(ids, str) else ids


def _raw_items(config: "Config") -> Names:
    lists = (config.recommend.candidates, config.recommend.exclude) if config.recommend else ()
    return tuple(items.path for items in lists if items)


def _raw(config: "Config") -> Names:
    users = config.recommend.users if config.recommend else None
    return (*_raw_items(config), *((users.path,) if users else ()))


def _model_tables(config: "Config") -> Names:
    return MODELS[config.recommend.model].lists if config.recommend else ()


def _refitted_tables(config: "Config") -> Names:
    return tuple(map(refitted, _model_tables(config))) if config.refits else ()


def _trained_tables(config: "Config") -> Names:
    """Those of the model in training that lists are made from."""
    by_als = config.recommend is not None and config.recommend.model == ALS.name
    return (by_als and blended_tables(config)) or _model_tables(config)


def _refit_reads(config: "Config") -> Names:
    trained, plain = _trained_tables(config), _model_tables(config)
    # how strongly items are held to what is said of them is in the manifest of what was trained
    held = (*held_to(config), *trained) if trained != plain else ()
    return ("interactions", *plain, *held)


def _also_read(config: "Config", raw: Names) -> Names:
    cold = config.new_item_tables if config.recommends_unrated_items else ()
    new = config.new_user_tables if config.recommends_to_new_users else ()
    said = ("user_attributes",) if config.recommend and config.recommend.segments else ()
    return (*cold, *new, *said, *artifacts_of(raw))


def _reads(config: "Config") -> Names:
    by = _refitted_tables(config) or _trained_tables(config)
    noisy = tuple(name for name in noisy_tables(config) if name != CLASSES)
    return ("interactions", "users", "items", *by, *noisy, *_also_read(config, _raw(config)))


def _holdout_reads(config: "Config") -> Names:
    by = _trained_tables(config)
    return ("ratings", "holdout", "items", *by, *_also_read(config, _raw_items(config)))


def _limits(config: "Config", name: str) -> Names:
    is_limited = config.recommend is not None and config.recommend.limits_items
    return (name,) if is_limited else ()


def holdout_tables(config: "Config") -> Names:
    """What is measured of lists: those that the holdout is compared with, and what they may hold
    where that is limited.
    """
    if config.recommend is None or config.evaluate is None:
        return ()
    return ("holdout_recommendations", *_limits(config, HOLDOUT_RECOMMENDABLE_ITEMS))


def _refit_memory(config: "Config", sizes: Sizes, cores: int) -> int:
    if config.recommend and config.recommend.model == ALS.name:
        return als.memory(config, sizes, "interactions")
    return cosine.memory(sizes, cores, "interactions")


def _memory(config: "Config", sizes: Sizes, cores: int, ratings: str) -> int:
    """Bytes that lists take at most where blocks are worked on here: half of it was measured for
    60,000 users, 20,000 items and 4 million ratings.
    """
    rank = config.als.rank if config.als else 0
    top_k = config.recommend.top_k if config.recommend else 0
    factors = (sizes.rows("users") + sizes.rows("items")) * rank * 4
    listed = sizes.rows("users") * top_k * 4 * 12
    return (
        cores * (100 << 20)
        + 2 * factors
        + 3 * listed
        + 40 * sizes.rows(ratings)
        + 15 * sizes.raw_bytes
    )


RECOMMENDABLE_ITEMS = "recommendable_items"
HOLDOUT_RECOMMENDABLE_ITEMS = "holdout_recommendable_items"
_LISTS = ("model", "top_k", "cold_share", "calibrate", "candidates", "exclude", "segments")

HOLDOUT_STAGE = Stage(
    "recommend-holdout",
    "recommend",
    "flow",
    "emberline.scoring.recommend_holdout:run",
    reads=_holdout_reads,
    writes=holdout_tables,
    raw=_raw_items,
    uses=_LISTS,
    memory=lambda config, sizes, cores: _memory(config, sizes, cores, "ratings"),
    private=("pseudonyms", "min_users"),
)

REFIT_STAGE = Stage(
    "refit",
    "recommend",
    "flow",
    "emberline.scoring.refit:run",
    reads=_refit_reads,
    writes=_refitted_tables,
    uses=("model", "refit_iterations"),
    memory=_refit_memory,
    private=("min_users",),
)

STAGE = Stage(
    "recommend",
    "recommend",
    "flow",
    "emberline.scoring.recommend:run",
    reads=_reads,
    writes=lambda config: (
        "recommendations",
        "popular_items",
        *_limits(config, RECOMMENDABLE_ITEMS),
    ),
    raw=_raw,
    uses=(*_LISTS, "users"),
    memory=lambda config, sizes, cores: _memory(config, sizes, cores, "interactions"),
    private=("pseudonyms", "min_users"),
)
