"""The section [shards]: what the trainer reads."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.sections.base import Fraction, Positive, Section, Seed
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ShardsConfig(Section):
    """What the trainer reads: pictures with their class, or with the item's ALS factors, split by
    item.
    """

    task: Literal["class", "factors"] = Field(
        description="What pictures are learnt with: their class, or the ALS factors of their item."
    )
    val: Fraction = Field(
        default=0.1,
        description="The share of pictures set aside for choosing the model, of those that are "
        "not for testing.",
    )
    test: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="The share of pictures for measuring classes, of those that do not say "
        "themselves what they are for; with factors, cold items are for measuring.",
    )
    rows_per_shard: Positive = Field(
        default=10_000, description="How many pictures a shard holds, about."
    )
    num_shards: Positive | None = Field(
        default=None,
        description="Into how many shards of about equal size each set is cut, whatever "
        "rows_per_shard says.",
    )
    seed: Seed = Field(
        default=1, description="The seed of the hash that splits items, and of the order of rows."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.task == "factors" and self.test:
            raise ValueError(
                'with task = "factors" the items of split.cold_items are tested on: remove test'
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
    "flow",
    "emberline.shards.stage:run",
    reads=_reads,
    writes=lambda config: SHARDS,
    memory=lambda config, sizes, cores: (
        (250 << 20) + cores * (300 << 20) + 1000 * sizes.rows("images")
    ),
)
