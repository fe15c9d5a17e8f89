"""The section [recommend]: lists for every user."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.attributes import AttributeRules
from emberline.models import ALS, CNN, LIST_MODELS, MODELS
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.patterns import IdPatterns, id_rules
from emberline.sections.raw import TextConfig
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

    ListModel = str
else:
    ListModel = Literal[LIST_MODELS]


class ItemListConfig(TextConfig):
    """Items by their outside ids: the column `item_id` of CSV, JSON or Parquet files.

    In a text file with an id a line and no header, `header = false` and `item_id = 1`.
    """

    item_id: str | Positive = "item_id"
    ids: Literal["text", "integer"] = "text"
    clean_ids: IdPatterns = ()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.header and isinstance(self.item_id, str):
            raise ValueError(
                "without a header, columns are positions counted from 1, not names: set item_id = 1"
            )
        return self

    def rules(self) -> AttributeRules:
        """What an id of the list is, as Spark's workers take it."""
        return AttributeRules(
            frozenset({"id"}), texts=self.text_rules(), ids=id_rules(self.ids, self.clean_ids)
        )


class RecommendConfig(Section):
    """Top-k lists for every user: by `model` where it has an answer, filled up with what is
    popular.

    Where the pipeline predicts factors, items without ratings compete by those, and `cold_share` of
    each list's places are set aside for them. With `candidates`, a file's path or an item list,
    only those items are recommended (what is in stock); those in `exclude` never are (what is
    recalled).
    """

    model: ListModel = ALS.name
    top_k: Positive = 10
    cold_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    candidates: ItemListConfig | None = None
    exclude: ItemListConfig | None = None

    @property
    def limits_items(self) -> bool:
        """Whether a list says which items may be recommended."""
        return self.candidates is not None or self.exclude is not None

    @field_validator("candidates", "exclude", mode="before")
    @classmethod
    def _path_alone(cls, items: Any) -> Any:
        return {"path": items} if isinstance(items, str) else items


def _raw(config: "Config") -> Names:
    lists = (config.recommend.candidates, config.recommend.exclude) if config.recommend else ()
    return tuple(items.path for items in lists if items)


def _reads(config: "Config") -> Names:
    if not config.recommend:
        return ()
    cold = CNN.new_items if config.recommends_unrated_items else ()
    return (
        "ratings",
        "users",
        "items",
        *MODELS[config.recommend.model].lists,
        *cold,
        *artifacts_of(_raw(config)),
    )


def _writes(config: "Config") -> Names:
    return (*list_tables(config), "popular_items")


def list_tables(config: "Config") -> Names:
    """What is measured of the lists."""
    is_limited = config.recommend is not None and config.recommend.limits_items
    return ("recommendations", "recommendable_items") if is_limited else ("recommendations",)


STAGE = Stage(
    "recommend",
    "recommend",
    "spark",
    "emberline.spark.recommend:run",
    reads=_reads,
    writes=_writes,
    raw=_raw,
)
