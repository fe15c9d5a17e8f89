"""The section [shards]: what the trainer reads."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.sections.base import Fraction, Positive, Section, Seed
from emberline.sections.patterns import regular_expression
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class GroupConfig(Section):
    """What must not be in two of the sets of training, choosing and testing: a speaker, a patient,
    a camera.
    """

    pattern: str | None = Field(
        default=None,
        description="The regular expression whose group, or else all that it finds in an item's "
        "id, is what the item belongs to.",
    )
    column: Literal["title", "text", "label", "group"] | None = Field(
        default=None,
        description="The column that says what an item belongs to: of item_attributes, or the "
        "group that [images.columns] or [sounds.columns] name.",
    )
    test: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        default=(),
        description="What is tested on, by name; without it, a share as shards.test says, drawn by "
        "hash, or what the publisher's split says.",
    )

    @field_validator("pattern")
    @classmethod
    def _is_regular_expression(cls, pattern: str | None) -> str | None:
        return None if pattern is None else regular_expression(pattern)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if (self.pattern is None) == (self.column is None):
            raise ValueError("give either pattern or column, by which items belong together")
        return self


def check_group(config: "Config", shards: "ShardsConfig") -> None:
    """Raises ValueError where nothing says what items belong to."""
    column = shards.group.column if shards.group else None
    columns = getattr(config, shards.of).columns
    if column == "group" and (columns is None or columns.group is None):
        raise ValueError(
            f'shards.group.column = "group" needs {shards.of}.columns.group, the column that says'
            " what each belongs to"
        )
    if column not in (None, "group") and config.attributes is None:
        raise ValueError(f'shards.group.column = "{column}" needs a section [attributes]')


class ShardsConfig(Section):
    """What the trainer reads: pictures with their class, or with the item's ALS factors, split by
    item.
    """

    task: Literal["class", "factors"] = Field(
        description="What pictures are learnt with: their class, or the ALS factors of their item."
    )
    of: Literal["images", "sounds"] = Field(
        default="images", description="What is learnt from: pictures, or sounds as spectrograms."
    )
    group: GroupConfig | None = Field(
        default=None,
        description="What must not be in two sets, such as a speaker; classes only.",
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
    folds: Annotated[int, Field(ge=2)] | None = Field(
        default=None,
        description="Into how many folds pictures with a class are cut, whatever they say "
        "themselves that they are for.",
    )
    fold: Positive | None = Field(
        default=None, description="Which fold is for testing, counted from 1."
    )
    measure_by: Literal["holdout", "validation"] = Field(
        default="holdout",
        description="Whether classes are measured by the pictures for testing, or by as many of "
        "those for training as val says; the former are then for nothing.",
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
        if self.task == "factors" and (self.folds or self.measure_by != "holdout"):
            raise ValueError(
                'with task = "factors" what is tested on is said by [split]: remove folds and'
                " measure_by"
            )
        if not bool(self.folds) <= (self.fold or 0) <= (self.folds or 0):
            raise ValueError(f"folds = {self.folds or 'none'} does not go with fold = {self.fold}")
        if self.folds and (self.test or (self.group and self.group.test)):
            raise ValueError("folds say which pictures are for testing: remove test")
        if self.group and self.measure_by == "validation":
            raise ValueError("of groups only those for testing are measured: remove measure_by")
        if self.task == "factors" and self.test:
            raise ValueError(
                'with task = "factors" the items of split.cold_items are tested on: remove test'
            )
        if self.task == "factors" and self.group:
            raise ValueError(
                'with task = "factors" the items of split.cold_items are tested on: remove group'
            )
        return self


def protocol_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a metric's protocol says of the section, as a manifest has it: folds are left out where
    there are none.
    """
    unused = {"folds": None, "fold": None, "measure_by": "holdout"}
    return dict(item for item in config.items() if item not in unused.items())


SHARDS = ("shards_train", "shards_val", "shards_test", "shards_all")


def _reads(config: "Config") -> Names:
    if config.shards is None:
        return ()
    of = config.shards.of
    if config.shards.task == "factors":
        return (of, "item_factors", "holdout")
    has_labels = config.attributes is not None and any(
        source.columns.label for source in config.attributes.items
    )
    column = config.shards.group.column if config.shards.group else None
    by_column = column not in (None, "group")
    return (of, "item_attributes") if has_labels or by_column else (of,)


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """What is known of every picture, and the row groups that tasks have in hand."""
    shards = config.shards
    assert shards is not None
    rank = config.als.rank if shards.task == "factors" and config.als else 0
    return (250 << 20) + cores * (300 << 20) + (1000 + 16 * rank) * sizes.rows(shards.of)


STAGE = Stage(
    "export-shards",
    "shards",
    "flow",
    "emberline.shards.stage:run",
    reads=_reads,
    writes=lambda config: SHARDS,
    memory=_memory,
)
