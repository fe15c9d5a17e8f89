"""The section [privacy.noise]: counts about all people, with noise."""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from emberline.extras import NOISE
from emberline.sections.base import Positive, Section
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

Share = Annotated[float, Field(gt=0, le=1)]
ITEMS = "noisy_item_counts"
CLASSES = "noisy_class_counts"
SEGMENTS = ("noisy_segments", "noisy_segment_counts")
_LABELLED = {"attributes": "item_attributes", "images": "images", "sounds": "sounds"}


class NoiseSplitConfig(Section):
    """How epsilon is split among what is counted: shares that add up to 1."""

    items: Share = Field(default=1.0, description="How many people have each item.")
    classes: Share | None = Field(
        default=None, description="How many ratings the items of each class (label) have."
    )
    segments: Share | None = Field(
        default=None,
        description="How many people are in each segment, and how many of them have each item.",
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        found = sum(self.shares.values())
        if not math.isclose(found, 1.0):
            raise ValueError(f"the shares of epsilon add up to {found:g}; expected 1")
        return self

    @property
    def shares(self) -> dict[str, float]:
        """Of each part that is counted."""
        every = {"items": self.items, "classes": self.classes, "segments": self.segments}
        return {name: share for name, share in every.items() if share is not None}


class NoiseConfig(Section):
    """Differentially private counts about all people: the noise they get, what each person adds to
    them at most, and what all draws of a root together may cost.
    """

    epsilon: Annotated[float, Field(gt=0)] = Field(
        description="What the counts of one draw tell of a person at most, all tables together: "
        "with and without that person, what is published is at most e^epsilon times as likely."
    )
    budget: Annotated[float, Field(gt=0)] = Field(
        description="What all draws of this root together may cost; a run that would go beyond it "
        "is refused."
    )
    delta: Annotated[float, Field(gt=0, le=1e-3)] = Field(
        default=1e-6,
        description="With which probability a draw may show a key that one person alone has "
        "brought; set it well below 1 / the number of people.",
    )
    max_items: Positive = Field(
        default=10,
        description="How many items of each person count, chosen by hash; of more, noise grows.",
    )
    every_days: Annotated[float, Field(ge=0)] = Field(
        default=7.0,
        description="Counts are drawn anew, and paid for, only so many days after the last draw; "
        "until then they stay as they are.",
    )
    when_spent: Literal["stop", "keep"] = Field(
        default="stop",
        description="What a run does when the budget is spent: it ends, or keeps the last counts.",
    )
    segments: Literal["label", "genres", "tags"] | None = Field(
        default=None,
        description="The column of [attributes.users] by which people are counted apart, as in "
        "[recommend.segments].",
    )
    split: NoiseSplitConfig = Field(
        default=NoiseSplitConfig(), description="How epsilon is split among what is counted."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.segments is not None and self.split.segments is None:
            raise ValueError(
                "segments has no share of epsilon: set split.segments, and split.items, so that"
                " all add up to 1"
            )
        if self.segments is None and self.split.segments is not None:
            raise ValueError(
                'split.segments needs segments, by which people are counted apart: "label",'
                ' "genres" or "tags"'
            )
        if self.epsilon > self.budget:
            raise ValueError(
                f"budget = {self.budget:g} does not pay for one draw, which costs epsilon ="
                f" {self.epsilon:g}"
            )
        return self


def check_noise(config: "Config", noise: NoiseConfig) -> None:
    """Raises ValueError where one person could change more than what that person adds, or a part
    that is published has no share of epsilon.
    """
    if config.ratings is None:
        raise ValueError("[privacy.noise] counts ratings: it needs a section [ratings]")
    others = {
        "ratings.min_item_ratings": config.ratings.min_item_ratings > 1,
        "ratings.last_days": config.ratings.last_days is not None,
    }
    for name, is_set in others.items():
        if is_set:
            raise ValueError(
                f"[privacy.noise] does not go with {name}, by which one person decides whether rows"
                " of others count: remove one of them (ratings.since goes with it)"
            )
    segments = config.recommend.segments if config.recommend else None
    asked = segments.attribute if segments else None
    if asked is not None and noise.segments != asked:
        raise ValueError(
            f'[recommend.segments] are by "{asked}", of which people are counted: set'
            f' privacy.noise.segments = "{asked}"'
        )
    if noise.segments and not (config.attributes and config.attributes.users):
        raise ValueError("privacy.noise.segments needs a section [attributes.users]")
    if noise.split.classes is not None and labelled(config) is None:
        raise ValueError(
            "privacy.noise.split.classes needs items with classes: columns.label of"
            " [attributes.items], or a section [images] or [sounds]"
        )


def labelled(config: "Config") -> str | None:
    """The table that has the classes of items."""
    sources = config.attributes.items if config.attributes else ()
    has = {
        "attributes": any(source.columns.label is not None for source in sources),
        "images": config.images is not None,
        "sounds": config.sounds is not None,
    }
    return next((table for name, table in _LABELLED.items() if has[name]), None)


def noise_of(config: "Config") -> NoiseConfig | None:
    """The section of a pipeline, where it has it."""
    return config.privacy.noise if config.privacy else None


def noisy_tables(config: "Config") -> Names:
    """The counts with noise that a pipeline makes."""
    noise = noise_of(config)
    if noise is None:
        return ()
    classes = (CLASSES,) if noise.split.classes is not None else ()
    return (ITEMS, *classes, *(SEGMENTS if noise.split.segments is not None else ()))


def _reads(config: "Config") -> Names:
    written = noisy_tables(config)
    classes = labelled(config) if CLASSES in written else None
    segments = ("user_attributes",) if SEGMENTS[0] in written else ()
    return ("interactions", "users", "items", *((classes,) if classes else ()), *segments)


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes: hashes of all ids, segments of users, counts of items in them, and events."""
    ids = sizes.rows("users") + sizes.rows("items")
    counts = 400 * sizes.rows("items")  # OpenDP takes them as Python's numbers
    return cores * (200 << 20) + 40 * ids + counts + 60 * sizes.rows("interactions")


STAGE = Stage(
    "noisy-counts",
    "privacy",
    "flow",
    "emberline.counts.stage:run",
    reads=_reads,
    writes=noisy_tables,
    uses=("noise",),
    memory=_memory,
    extra=lambda config: NOISE,
)
