"""The section [privacy]: what is kept from whoever reads what a pipeline writes."""

from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from emberline.models import ITEM_NEIGHBORS, refitted
from emberline.sections.base import Positive, Section, place, where
from emberline.sections.noise import NoiseConfig, check_noise
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

SIDES = {
    "none": frozenset[str](),
    "users": frozenset({"user"}),
    "items": frozenset({"item"}),
    "both": frozenset({"user", "item"}),
}


class PrivacyConfig(Section):
    """Pseudonyms, and how many people stand behind what is published; docs/privacy.md says what
    each protects, against whom.
    """

    pseudonyms: Literal["none", "users", "items", "both"] = Field(
        default="none",
        description="Whose outside ids become pseudonyms (HMAC-SHA256 under a key) before anything "
        "is written.",
    )
    key_file: str | None = place(
        None,
        description="The file of the key of pseudonyms, which is outside of the root; emberline "
        "key makes one.",
    )
    key_variable: str = where(
        "EMBERLINE_KEY",
        min_length=1,
        description="The environment variable that has the key where there is no key_file.",
    )
    raw: Literal["replaced", "none"] = Field(
        default="replaced",
        description="What rejected rows show of their text, with pseudonyms: their fields with "
        "these instead of ids, or nothing.",
    )
    min_users: Positive = Field(
        default=5,
        description="Behind a neighbour pair, a popular item, a reason, and an item's title in the "
        "report there are at least so many users, or it is left out.",
    )
    min_changing_users: Positive | None = Field(
        default=None,
        description="Published neighbours of items change from run to run only where so many users "
        "have changed them; none lets them change freely.",
    )

    noise: NoiseConfig | None = Field(
        default=None,
        description="Counts about all people with noise, so that they tell little of anybody; "
        "without it they are exact.",
    )

    @property
    def sides(self) -> frozenset[str]:
        """Whose ids become pseudonyms: user, item, both or nobody's."""
        return SIDES[self.pseudonyms]

    def of_stage(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Those settings that decide on a stage's result; none of pseudonyms where there are
        none, and no number that leaves nothing out. `item_pseudonyms` are pseudonyms as far as
        items have them.
        """
        what = {name: value for name, value in self.what().items() if name in names}
        if self.pseudonyms == "none":
            what.pop("pseudonyms", None)
            what.pop("raw", None)
        if "item_pseudonyms" in names and "item" in self.sides:
            what["pseudonyms"] = "items"
        if self.min_users == 1:
            what.pop("min_users", None)
        return what

    @model_validator(mode="after")
    def _raw_goes_with_pseudonyms(self) -> Self:
        if self.pseudonyms == "none" and (self.key_file or self.raw == "none"):
            raise ValueError(
                "key_file and raw go with pseudonyms: set pseudonyms to users, items or both, or"
                " remove them"
            )
        return self


def check_privacy(config: "Config", privacy: PrivacyConfig) -> None:
    """Raises ValueError where the rest of a pipeline does not go with the section."""
    group = config.shards.group if config.shards else None
    if group is not None and group.pattern is not None and "item" in privacy.sides:
        raise ValueError(
            "shards.group.pattern finds groups in items' ids, which are pseudonyms: set"
            ' shards.group.column, or privacy.pseudonyms = "users"'
        )
    if privacy.noise is not None:
        check_noise(config, privacy.noise)
    if privacy.min_changing_users is None:
        return
    if config.ratings and config.ratings.columns.timestamp is None:
        raise ValueError(
            "privacy.min_changing_users needs ratings.columns.timestamp, by which it is told who"
            " has changed a pair"
        )
    if config.cosine is None or "items" not in config.cosine.sides:
        raise ValueError(
            "privacy.min_changing_users is about neighbours of items: add a section [cosine] whose"
            ' sides hold "items", or remove it'
        )


def _reads(config: "Config") -> Names:
    """The neighbours that would be published otherwise, and what they were made of."""
    (table,) = ITEM_NEIGHBORS.lists
    recommend = config.recommend
    if config.refits and recommend is not None and recommend.model == ITEM_NEIGHBORS.name:
        return refitted(table), "interactions"
    return table, "ratings"


def _writes(config: "Config") -> Names:
    is_asked = config.privacy is not None and config.privacy.min_changing_users is not None
    return ("steady_item_neighbors", "neighbor_history") if is_asked else ()


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    """Bytes: all pairs of neighbours, and each core's share of events."""
    near, events = _reads(config)
    return cores * (250 << 20) + 150 * sizes.rows(near) + 80 * sizes.rows(events)


STAGE = Stage(
    "steady-neighbors",
    "privacy",
    "flow",
    "emberline.neighbors.steady:run",
    reads=_reads,
    writes=_writes,
    uses=("min_changing_users",),
    memory=_memory,
)
