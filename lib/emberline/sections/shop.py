"""The section [shop]: a generated shop."""

from typing import Annotated

from pydantic import Field

from emberline.sections.base import Section, Seed
from emberline.sections.stage import Stage


class ShopConfig(Section):
    """A generated shop, for the demo: items with pictures and titles, customers with tastes, a
    log of purchases.
    """

    num_items: Annotated[int, Field(ge=10)] = 1500
    num_users: Annotated[int, Field(ge=10)] = 3000
    num_events: Annotated[int, Field(ge=100)] = 120_000
    seed: Seed = 1


STAGE = Stage(
    "generate-shop",
    "shop",
    "python",
    "emberline.shop.generate:run",
    reads=lambda config: (),
    writes=lambda config: ("shop",),
)
