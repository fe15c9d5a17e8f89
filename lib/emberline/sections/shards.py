"""The section [shards]: what the trainer reads."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.sections.base import Fraction, Positive, Section, Seed
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ShardsConfig(Section):
    """What the trainer reads: pictures with their `class`, or with the item's ALS `factors`, split
    by item.

    `test` is the share for measuring classes, of the pictures that do not say themselves whether
    they are for that; with factors, the cold items are for measuring. `val` is the share of all
    others which is set aside for choosing the model. Each set is cut into `num_shards` parts of
    about equal size, or, without that, into as many as `rows_per_shard` asks for.
    """

    task: Literal["class", "factors"]
    val: Fraction = 0.1
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rows_per_shard: Positive = 10_000
    num_shards: Positive | None = None
    seed: Seed = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.task == "factors" and self.test:
            raise ValueError(
                'with task = "factors" the items of ratings.holdout.cold_items are tested on:'
                " remove test"
            )
        return self


SHARDS = ("shards_train", "shards_val", "shards_test", "shards_all")


def _reads(config: "Config") -> Names:
    if config.shards and config.shards.task == "factors":
        return ("images", "item_factors", "holdout")
    has_labels = config.attributes is not None and any(
        source.columns.label for source in config.attributes.items
    )
    return ("images", "item_attributes") if has_labels else ("images",)


STAGE = Stage(
    "export-shards",
    "shards",
    "spark",
    "emberline.spark.shards:run",
    reads=_reads,
    writes=lambda config: SHARDS,
)
