"""The section [shop]: a generated shop."""

from typing import Annotated, Literal

from pydantic import Field

from emberline.sections.base import Section, Seed
from emberline.sections.stage import Stage


class ShopConfig(Section):
    """A generated shop, for the demo: items with pictures or sounds and titles, customers with
    tastes, a log of purchases.
    """

    of: Literal["pictures", "sounds"] = Field(
        default="pictures",
        description="What there is of each item: a picture of it, or a sound, whose pitch and "
        "rhythm tell who likes it.",
    )
    num_items: Annotated[int, Field(ge=10)] = Field(
        default=1500, description="How many items the generated shop sells."
    )
    num_new_items: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="How many more items are about to be sold: there are pictures or sounds of "
        "them, and no purchases.",
    )
    num_users: Annotated[int, Field(ge=10)] = Field(
        default=3000, description="How many customers the generated shop has."
    )
    num_new_users: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="How many more customers have just signed up: it is known what interests them, "
        "and they have bought nothing.",
    )
    num_events: Annotated[int, Field(ge=100)] = Field(
        default=120_000, description="How many purchases the log holds."
    )
    seed: Seed = Field(
        default=1, description="The seed of all random choices; another one gives another shop."
    )


STAGE = Stage(
    "generate-shop",
    "shop",
    "python",
    "emberline.shop.generate:run",
    reads=lambda config: (),
    writes=lambda config: ("shop",),
)
