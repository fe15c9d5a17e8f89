"""The section [privacy]: what is kept from whoever reads what a pipeline writes."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from emberline.sections.base import Positive, Section, place, where

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

    @property
    def sides(self) -> frozenset[str]:
        """Whose ids become pseudonyms: user, item, both or nobody's."""
        return SIDES[self.pseudonyms]

    def of_stage(self, names: tuple[str, ...]) -> dict[str, Any]:
        """Those settings that decide on a stage's result; none of pseudonyms where there are
        none, and no number that leaves nothing out.
        """
        what = {name: value for name, value in self.what().items() if name in names}
        if self.pseudonyms == "none":
            what.pop("pseudonyms", None)
            what.pop("raw", None)
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
