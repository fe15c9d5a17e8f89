"""The section [ratings.holdout]: which ratings are withheld from training."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.sections.base import Fraction, Positive, Section
from emberline.sections.moments import time_text


class HoldoutConfig(Section):
    """Which ratings are withheld from training; `cold_items` are independent of `by`."""

    by: Literal["none", "fraction", "time", "last"] = Field(
        default="none",
        description="How ratings are chosen that are withheld from training: a fraction of each "
        "user's, those after a time, or the last of each user.",
    )
    fraction: Fraction | None = Field(
        default=None, description="The share of each user's ratings to withhold, chosen by hash."
    )
    after: str | None = Field(default=None, description="Ratings after this time are withheld.")
    last_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Ratings of so many days before the newest one are withheld."
    )
    n: Positive | None = Field(
        default=None, description="How many of each user's last ratings are withheld."
    )
    cold_items: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="The share of items, chosen by hash, of which every rating is withheld, to "
        "measure items that nobody has rated.",
    )

    @field_validator("after", mode="before")
    @classmethod
    def _toml_time(cls, after: Any) -> Any:
        return after.isoformat() if isinstance(after, date) else after

    @field_validator("after")
    @classmethod
    def _is_time(cls, after: str | None) -> str | None:
        return time_text(after)

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        wanted = {
            "none": (),
            "fraction": ("fraction",),
            "time": ("after", "last_days"),
            "last": ("n",),
        }
        given = [
            key for key in ("fraction", "after", "last_days", "n") if getattr(self, key) is not None
        ]
        allowed = wanted[self.by]
        if len(given) != min(len(allowed), 1) or not set(given) <= set(allowed):
            need = " or ".join(allowed) or "none of fraction, after, last_days, n"
            raise ValueError(
                f'by = "{self.by}" goes with {need}, found {", ".join(given) or "nothing"}'
            )
        return self
