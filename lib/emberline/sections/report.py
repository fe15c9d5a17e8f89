"""The section [report]: one page about the run."""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from emberline import extras
from emberline.models import ALS, CNN, LIST_TABLES, refitted
from emberline.sections.base import Section, Seed
from emberline.sections.content import blended_tables, models_by_side
from emberline.sections.recommend import holdout_tables
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
    overlays: Annotated[int, Field(ge=0)] = Field(
        default=6,
        description="Of how many of these people a new item is shown with the pixels that speak "
        "for it; where a network predicts classes, of how many test pictures. 0 is none.",
    )


def _looks(config: "Config") -> bool:
    """Whether the report shows what a network goes by: beside reasons, or beside classes."""
    explains = config.explain is not None and config.recommends_unrated_items
    sees = config.predicts_classes or (config.predicts_factors and explains)
    return config.report is not None and config.report.overlays > 0 and sees


def _pixels_of(config: "Config") -> Names:
    """The table of which pixels the network goes by."""
    if not _looks(config):
        return ()
    return ("class_reasons",) if config.predicts_classes else ("picture_reasons",)


def _looked_at(config: "Config") -> Names:
    if config.predicts_classes:
        return (CNN.name, "shards_all", *CNN.classes)
    users, _ = ALS.lists
    held = blended_tables(config)[:1]
    factors = refitted(users) if config.refits else held[0] if held else users
    lists = tuple(name for name in holdout_tables(config) if name.endswith("recommendations"))
    landmarks = models_by_side(config).get("item", ())[:1]
    return (CNN.name, "shards_all", factors, "recommendations", *lists, *landmarks)


OVERLAYS_STAGE = Stage(
    "explain-pictures",
    "report",
    "tensorflow",
    "emberline.cnn.explain_pictures:run",
    reads=_looked_at,
    writes=_pixels_of,
    uses=("users", "seed", "overlays"),
    extra=lambda config: extras.TRAIN,
)

_UNREAD = {
    "user_neighbors",
    "item_neighbors",
    "embeddings",
    *SHARDS,
    "recommendable_items",
    "holdout_recommendable_items",
    *map(refitted, LIST_TABLES),
    "baseline_factors",
    "popular_items",
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
