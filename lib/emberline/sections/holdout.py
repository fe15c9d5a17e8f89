"""The section [ratings.holdout]: which ratings are withheld from training."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.sections.base import Fraction, Positive, Section
from emberline.sections.moments import time_text


class HoldoutConfig(Section):
    """Which ratings are withheld from training.

    `fraction` of each user's, chosen by hash; those `after` a time or of the `last_days` before the
    newest; the last `n` of each user. Independently, `cold_items` is the share of items, chosen by
    hash, of which every event is withheld.
    """

    by: Literal["none", "fraction", "time", "last"] = "none"
    fraction: Fraction | None = None
    after: str | None = None
    last_days: Annotated[float, Field(gt=0)] | None = None
    n: Positive | None = None
    cold_items: Annotated[float, Field(ge=0, lt=1)] = 0.0

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
