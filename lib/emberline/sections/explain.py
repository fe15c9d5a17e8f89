"""The section [explain]: why an item is recommended."""

from typing import TYPE_CHECKING

from pydantic import Field

from emberline.models import ALS, MODELS, refitted
from emberline.sections.base import Positive, Section
from emberline.sections.content import blended_tables, models_by_side
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ExplainConfig(Section):
    """Reasons for each place of the published lists: the past events that it would not be there
    without, and of new items and new users what of that which is known of them made the score.
    """

    top: Positive = Field(
        default=3, description="How many reasons of a kind each place has at most."
    )
    min_support: Positive = Field(
        default=5,
        description="Past items that fewer users have rated are never named as reasons: they would "
        "tell of these users.",
    )


def _reads(config: "Config") -> Names:
    if config.recommend is None:
        return ()
    tables = MODELS[config.recommend.model].lists
    history = ("interactions", "ratings") if config.refits else ("ratings",)
    by_als = config.recommend.model == ALS.name
    held = blended_tables(config) if by_als else ()
    by = tuple(map(refitted, tables)) if config.refits else held
    new = config.new_item_tables if config.recommends_unrated_items else ()
    return ("recommendations", *history, *tables, *by, *new, *_said(config))


def _said(config: "Config") -> Names:
    """What lists are made by besides ratings, and the models that have learnt of it."""
    used = {"item": config.recommends_unrated_items, "user": config.recommends_to_new_users}
    kept = models_by_side(config)
    return tuple(
        name
        for side, tables in kept.items()
        if used[side]
        for name in (f"{side}_attributes", *tables)
    )


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes that reasons take at most where blocks are worked on here."""
    rank = config.als.rank if config.als else 0
    neighbors = sizes.rows("item_neighbors") + sizes.rows("refitted_item_neighbors")
    factors = 6 * 4 * rank * sizes.rows("items") + 40 * neighbors
    said = (200 << 20) if config.content else 0
    events = sizes.rows("interactions") or sizes.rows("ratings")
    return cores * (250 << 20) + said + factors + 40 * events + 60 * sizes.rows("recommendations")


STAGE = Stage(
    "explain",
    "explain",
    "flow",
    "emberline.reasons.stage:run",
    reads=_reads,
    writes=lambda config: ("reasons",),
    memory=_memory,
    private=("min_users",),
)
