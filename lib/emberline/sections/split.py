"""The section [split]: which interactions models are trained on, chosen by, and measured by."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.events import EventRules
from emberline.datasets.withholding import HOLDOUT, VALIDATION
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Fraction, Positive, Section, Seed
from emberline.sections.moments import time_text
from emberline.sections.patterns import IdPatterns, id_rules
from emberline.sections.raw import TextConfig
from emberline.sections.stage import Names, Sizes, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config

_KEYS: dict[str, tuple[str, ...]] = {  # one of which a way goes with
    "none": (),
    "fraction": ("fraction",),
    "time": ("after", "last_days"),
    "last": ("n",),
    "users": ("users",),
    "folds": ("folds",),
    "given": ("pairs",),
    "column": (),
}


class PairsConfig(TextConfig):
    """Pairs of a user and an item, by their outside ids: two columns of CSV, JSON or Parquet files.

    In a text file without a header, `user_id` and `item_id` are positions counted from 1. With
    `cold`, the pairs are all that there is of their items, which are withheld whole.
    """

    user_id: str | Positive = Field("user_id", description="The column of the users' ids.")
    item_id: str | Positive = Field("item_id", description="The column of the items' ids.")
    user_ids: Literal["text", "integer"] = Field(
        "text", description="What users' ids are, as in [ratings]."
    )
    item_ids: Literal["text", "integer"] = Field(
        "text", description="What items' ids are, as in [ratings]."
    )
    clean_user_ids: IdPatterns = Field(
        (), description="What is replaced in users' ids, as in [ratings]."
    )
    clean_item_ids: IdPatterns = Field(
        (), description="What is replaced in items' ids, as in [ratings]."
    )
    cold: bool = Field(False, description="Whether the pairs' items are withheld whole.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.header and any(isinstance(name, str) for name in self.wanted().values()):
            raise ValueError(
                "without a header, columns are positions counted from 1, not names: set user_id = 1"
                " and item_id = 2"
            )
        return self

    def wanted(self) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        return {"user_id": self.user_id, "item_id": self.item_id}

    def rules(self) -> EventRules:
        """What a pair is, as Spark's workers take it."""
        return EventRules(
            columns=frozenset(self.wanted()),
            texts=self.text_rules(),
            users=id_rules(self.user_ids, self.clean_user_ids),
            items=id_rules(self.item_ids, self.clean_item_ids),
            value="one",
        )


class WithheldConfig(Section):
    """Interactions that are withheld, and `by` what they are chosen.

    `fraction` of each user's, chosen by hash; those `after` a time or of the `last_days` before the
    newest; the last `n` of each user; or the `pairs` of a file.
    """

    by: str = Field("none", description="What the withheld interactions are chosen by.")
    fraction: Fraction | None = Field(
        None, description='The share of each user\'s interactions, with by = "fraction".'
    )
    after: str | None = Field(None, description='The first time, with by = "time".')
    last_days: Annotated[float, Field(gt=0)] | None = Field(
        None, description='How many days before the newest interaction, with by = "time".'
    )
    n: Positive | None = Field(
        None, description='How many of each user\'s last interactions, with by = "last".'
    )
    pairs: PairsConfig | None = Field(
        None, description='A file of pairs of users and items, with by = "given".'
    )

    @field_validator("after", mode="before")
    @classmethod
    def _toml_time(cls, after: Any) -> Any:
        return after.isoformat() if isinstance(after, date) else after

    @field_validator("after")
    @classmethod
    def _is_time(cls, after: str | None) -> str | None:
        return time_text(after)

    @field_validator("pairs", mode="before")
    @classmethod
    def _path_alone(cls, pairs: Any) -> Any:
        return {"path": pairs} if isinstance(pairs, str) else pairs

    @model_validator(mode="after")
    def _keys_fit(self) -> Self:
        known = [key for keys in _KEYS.values() for key in keys if key in type(self).model_fields]
        given = [key for key in known if getattr(self, key) is not None]
        allowed = _KEYS[self.by]
        if len(given) != min(len(allowed), 1) or not set(given) <= set(allowed):
            need = " or ".join(allowed) or f"none of {', '.join(known)}"
            raise ValueError(
                f'by = "{self.by}" goes with {need}, found {", ".join(given) or "nothing"}'
            )
        return self

    @property
    def needs_time(self) -> bool:
        """Whether interactions are chosen by when they were."""
        return self.by in ("time", "last")


class ValidationConfig(WithheldConfig):
    """Interactions that models are chosen by (ALS's iterations, with `als.patience`): of what the
    holdout leaves, by the same ways, or a fifth of those of about so many `users`.
    """

    by: Literal["none", "fraction", "time", "last", "users", "given"] = Field(
        "none", description="What the interactions are chosen by."
    )
    users: Positive | None = Field(
        None, description='Of about how many users a fifth is withheld, with by = "users".'
    )
    cold_items: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="The share of the items that are withheld whole from training, besides those "
        "of the holdout, to choose by what is ranked of new items.",
    )

    @model_validator(mode="after")
    def _is_warm(self) -> Self:
        if self.pairs and self.pairs.cold:
            raise ValueError(
                "pairs.cold is for the holdout: what models are chosen by has no cold items; remove"
                " it"
            )
        return self


class SplitConfig(WithheldConfig):
    """Which interactions are withheld from training: the holdout, by which models are measured,
    and `validation`, by which they are chosen.

    Besides the ways of both, the holdout is `fold` (from 1) of as many `folds`, of each user's
    interactions, or with `of = "items"` of whole items. With by = "column", it is what the column
    `ratings.columns.split` calls test, and validation is what it calls that. Independently,
    `cold_items` is the share of items, chosen by hash, of which every interaction is withheld, and
    `cold_users` that of users. With measure_by = "validation" the holdout is in no table, and
    models are measured by what they are chosen by: so `emberline tune` makes its trials.
    """

    by: Literal["none", "fraction", "time", "last", "folds", "given", "column"] = Field(
        "none", description="What the holdout is chosen by."
    )
    folds: Annotated[int, Field(ge=2)] | None = Field(
        None, description='Into how many folds interactions are cut, with by = "folds".'
    )
    fold: Positive | None = Field(None, description="Which fold is the holdout, counted from 1.")
    of: Literal["ratings", "items", "users"] = Field(
        "ratings",
        description="Whether a fold holds a part of each user's ratings, whole items, or a fifth "
        "of the ratings of some users, who are in no other fold.",
    )
    skip_days: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="By how many days the holdout of last_days ends before the newest "
        "interaction; what is later is in no set.",
    )
    cold_items: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="The share of the items that are withheld whole."
    )
    cold_users: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="The share of the users that are withheld whole, to measure what people get "
        "who have rated nothing.",
    )
    validation: ValidationConfig = Field(
        default_factory=lambda: ValidationConfig.model_validate({}),
        description="What is withheld besides, for choosing models by.",
    )
    measure_by: Literal["holdout", "validation"] = Field(
        "holdout",
        description="Which of the two models are measured by; with validation, the holdout is in "
        "no table.",
    )
    seed: Seed = Field(1, description="What hashes depend on besides ids.")

    @model_validator(mode="after")
    def _folds_fit(self) -> Self:
        if self.by == "folds" and not 1 <= (self.fold or 0) <= (self.folds or 0):
            raise ValueError(
                f"folds = {self.folds} needs fold = 1 to {self.folds}, found {self.fold or 'none'}"
            )
        if self.by != "folds" and (self.fold is not None or self.of != "ratings"):
            raise ValueError(f'fold and of go with by = "folds", found by = "{self.by}"')
        if self.skip_days is not None and self.last_days is None:
            raise ValueError("skip_days goes with last_days")
        if self.measure_by == "validation" and not self.validates:
            raise ValueError('measure_by = "validation" needs [split.validation]')
        if self.cold_items and (self.of == "items" or self.by in ("given", "column")):
            raise ValueError(
                "cold_items is a share chosen by hash, and this split says itself which items are"
                " withheld: remove it"
            )
        if self.cold_users and self.by in ("given", "column"):
            raise ValueError(
                "cold_users is a share chosen by hash, and this split says itself what is withheld:"
                " remove it"
            )
        return self

    @property
    def withholds(self) -> bool:
        """Whether anything may be withheld from training."""
        return self.holds_out or self.validates

    @property
    def validates(self) -> bool:
        """Whether anything is withheld for choosing models by."""
        by = self.validation.by
        return by != "none" or self.by == "column" or self.validation.cold_items > 0

    @property
    def holds_out(self) -> bool:
        """Whether anything is withheld for measuring models by."""
        if self.measure_by == VALIDATION:
            return self.validates
        return self.by != "none" or self.cold_items > 0 or self.cold_users > 0

    @property
    def reads_pairs(self) -> bool:
        """Whether files say which pairs are withheld."""
        return self.pairs is not None or self.validation.pairs is not None

    @property
    def has_cold_items(self) -> bool:
        """Whether items are withheld whole, to measure how new ones are ranked."""
        if self.measure_by == VALIDATION:
            return self.validation.cold_items > 0
        return self.cold_items > 0 or self.of == "items" or bool(self.pairs and self.pairs.cold)

    @property
    def holds_out_ratings(self) -> bool:
        """Whether ratings of items that are trained on may be held out."""
        if self.measure_by == VALIDATION:
            return self.validation.by != "none" or self.by == "column"
        return self.by != "none" and self.of != "items" and not (self.pairs and self.pairs.cold)

    def protocol(self) -> dict[str, Any]:
        """What a metric's protocol says of the holdout: ways that are not used are left out."""
        always = ("by", "fraction", "after", "last_days", "n", "cold_items", "seed")
        what = self.what()
        more = {
            name: value
            for name, value in what.items()
            if name not in (*always, "validation", "of") and value not in (None, 0.0, HOLDOUT)
        }
        more |= {"of": self.of} if self.by == "folds" else {}
        chosen_by = {key: value for key, value in what["validation"].items() if value != 0.0}
        more |= {"validation": chosen_by} if self.validates else {}
        return {name: what[name] for name in always} | more


def _raw(config: "Config") -> Names:
    given = (config.split.pairs, config.split.validation.pairs) if config.split else ()
    return tuple(pairs.path for pairs in given if pairs)


def _unasked(config: "Config") -> Names:
    split = config.split or SplitConfig.model_validate({})
    asked = {"validation": split.validates, "holdout": split.holds_out}
    return tuple(name for name, is_asked in asked.items() if not is_asked)


def _memory(config: "Config", sizes: Sizes, cores: int) -> int:
    return (200 << 20) + 250 * sizes.rows("interactions") + 15 * sizes.raw_bytes


STAGE = Stage(
    "split-ratings",
    "split",
    "flow",
    "emberline.splits.stage:run",
    reads=lambda config: ("interactions", "users", "items", *artifacts_of(_raw(config))),
    writes=lambda config: ("ratings", "validation", "holdout"),
    raw=_raw,
    unasked=_unasked,
    memory=_memory,
    private=("pseudonyms",),
)
