"""The section [report]: one page about the run."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from emberline.models import LIST_TABLES, refitted
from emberline.sections.base import Section, Seed
from emberline.sections.shards import SHARDS
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ReportConfig(Section):
    """One HTML page about the run."""

    title: str = Field(default="Emberline report", description="The page's title.")
    users: Annotated[int, Field(ge=0)] = Field(
        default=6,
        description="How many people are shown with their history and their recommendations.",
    )
    seed: Seed = Field(default=1, description="The seed of the choice of people.")


_UNREAD = {
    "user_neighbors",
    "item_neighbors",
    "embeddings",
    *SHARDS,
    "recommendable_items",
    *map(refitted, LIST_TABLES),
    "baseline_factors",
    "popular_items",
    "user_measures",
    "item_measures",
    "shop",
}


def stage_after(others: tuple[Stage, ...]) -> Stage:
    """The row of the report: it reads all that the other stages of the pipeline write, but what
    only machines read.
    """

    def reads(config: "Config") -> Names:
        written = (name for stage in others if stage.is_in(config) for name in stage.writes(config))
        return tuple(name for name in written if name not in _UNREAD)

    return Stage(
        "report",
        "report",
        "python",
        "emberline.report.page:run",
        reads=reads,
        writes=lambda config: ("report",),
        private=("min_users",),
    )
