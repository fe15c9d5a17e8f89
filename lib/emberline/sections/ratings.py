"""The section [ratings]: raw interactions, and what of them is clean."""

from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning import times
from emberline.cleaning.events import EventRules
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.moments import moment_of, time_text
from emberline.sections.patterns import IdPatterns, id_rules, regular_expression
from emberline.sections.raw import RowsConfig
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class ColumnsConfig(Section):
    """Which input column is which: a name, or, for CSV without a header, a position counted
    from 1.
    """

    user_id: str | Positive = Field(description="The column of users' ids.")
    item_id: str | Positive = Field(description="The column of items' ids.")
    value: str | Positive | None = Field(
        default=None,
        description="The column of the rating or the count; left out where every row counts as 1.",
    )
    timestamp: str | Positive | None = Field(
        default=None,
        description='The column of the time, which splits by time, windows of time and "the '
        'latest" need.',
    )
    title: str | Positive | None = Field(
        default=None, description="The column of the item's title, to be shown in lists."
    )
    event: str | Positive | None = Field(
        default=None,
        description="The column of the kind of event, such as view or purchase, that weights "
        "are given for.",
    )
    split: str | Positive | None = Field(
        default=None,
        description="The column of the publisher's split, which says train, validation or test; "
        'used by split.by = "column".',
    )


class RejectRule(Section):
    """Rows in whose `column` the expression `pattern` is found are rejected, for `reason`."""

    column: str | Positive = Field(
        description="The column whose text is searched; a missing text counts as the empty one."
    )
    pattern: str = Field(
        description='The regular expression; rows in which it is found are rejected. "^$" finds '
        "an empty text."
    )
    reason: Annotated[str, Field(min_length=1)] = Field(
        description="What to call rows rejected by this rule, in the tables and counts of "
        "rejected rows."
    )

    @field_validator("pattern")
    @classmethod
    def _is_regular_expression(cls, pattern: str) -> str:
        return regular_expression(pattern)


class RatingsConfig(RowsConfig):
    """What the raw interactions look like, and what counts as clean."""

    columns: ColumnsConfig = Field(
        description="Which input column is which: a name or, for CSV without a header, a "
        "position counted from 1."
    )
    user_ids: Literal["text", "integer"] = Field(
        default="text",
        description="What a user's id is: any text, or an integer; 17850.0 and 017850 are one.",
    )
    item_ids: Literal["text", "integer"] = Field(
        default="text",
        description="What an item's id is: any text, or an integer; 17850.0 and 017850 are one.",
    )
    clean_user_ids: IdPatterns = Field(
        default=(), description="Patterns that are replaced in users' ids, in their order."
    )
    clean_item_ids: IdPatterns = Field(
        default=(), description="Patterns that are replaced in items' ids, in their order."
    )
    value: Literal["rating", "count", "one"] = Field(
        default="rating",
        description="What columns.value is: a rating that can be predicted, a count of events, "
        "or nothing, where every row counts as 1.",
    )
    min_value: float | None = Field(
        default=None, description="Rows with a lower value are rejected."
    )
    max_value: float | None = Field(
        default=None, description="Rows with a higher value are rejected."
    )
    weights: dict[str, Annotated[float, Field(ge=0, strict=False)]] = Field(
        default={},
        description="How much a row of each kind of event counts, times columns.value where "
        "there is one; 0 leaves the kind out.",
    )
    default_weight: Annotated[float, Field(ge=0)] | None = Field(
        default=None,
        description="The weight of events that weights does not list; without it their rows are "
        "rejected.",
    )
    timestamp_format: str = Field(
        default="seconds",
        description="How times are written: seconds, milliseconds or microseconds since 1970, "
        "iso, or a format of strptime (%d.%m.%Y %H:%M) or of Java (dd.MM.yyyy "
        "HH:mm); without a zone they are UTC.",
    )
    since: str | None = Field(default=None, description="Rows earlier than this time are left out.")
    until: str | None = Field(default=None, description="Rows at or after this time are left out.")
    last_days: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="Rows more than so many days before the newest one are left out."
    )
    reject: Annotated[tuple[RejectRule, ...], Field(strict=False)] = Field(
        default=(),
        description="Rules by which more rows are rejected: a column, a pattern that is found "
        "in it, a reason.",
    )
    keep: Literal["latest", "sum", "max"] = Field(
        default="latest",
        description="What counts of several rows of one user and item: the latest, their sum "
        "(the default for counts and weighted events), or the largest.",
    )
    min_user_ratings: Positive = Field(
        default=1, description="Users with fewer ratings are left out."
    )
    min_item_ratings: Positive = Field(
        default=1, description="Items with fewer ratings are left out."
    )

    @model_validator(mode="before")
    @classmethod
    def _counts_are_added(cls, section: Any) -> Any:
        if isinstance(section, dict) and (
            section.get("value") == "count" or section.get("weights")
        ):
            return {"keep": "sum"} | section
        return section

    @field_validator("timestamp_format")
    @classmethod
    def _is_format(cls, written: str) -> str:
        try:
            times.check(written)
        except times.FormatError as error:
            raise ValueError(
                f"{written!r} {error}; expected seconds, milliseconds, microseconds, iso, "
                "or a format such as %d.%m.%Y %H:%M or dd.MM.yyyy HH:mm"
            ) from None
        return written

    @field_validator("since", "until", mode="before")
    @classmethod
    def _toml_time(cls, moment: Any) -> Any:
        return moment.isoformat() if isinstance(moment, date) else moment

    @field_validator("since", "until")
    @classmethod
    def _is_time(cls, moment: str | None) -> str | None:
        return time_text(moment)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.value == "rating" and self.columns.value is None:
            raise ValueError(
                'value = "rating" needs columns.value (use value = "one" to count every event as 1)'
            )
        if self.value == "one" and self.columns.value is not None:
            raise ValueError(
                'value = "one" ignores columns.value: remove it, or use value = "count"'
            )
        self._weights_fit()
        if self.columns.timestamp is None:
            wanted = {"since": self.since, "until": self.until, "last_days": self.last_days}
            if asking := [name for name, value in wanted.items() if value]:
                raise ValueError(f"{asking[0]} needs columns.timestamp")
        mapped = [*self.columns.what().values(), *(rule.column for rule in self.reject)]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def _weights_fit(self) -> None:
        if bool(self.weights) != (self.columns.event is not None):
            raise ValueError(
                "weights are of the events that columns.event names: set both, or neither"
            )
        if self.weights and self.value == "rating":
            raise ValueError(
                'weights are for events that count: set value = "one", or "count" with'
                " columns.value"
            )
        if self.default_weight is not None and not self.weights:
            raise ValueError(
                "default_weight is for events that weights does not list: set weights, too"
            )

    def rules(self) -> EventRules:
        """What is clean, as Spark's workers take it."""
        return EventRules(
            columns=frozenset(name for name, column in self.columns if column is not None),
            texts=self.text_rules(),
            users=id_rules(self.user_ids, self.clean_user_ids),
            items=id_rules(self.item_ids, self.clean_item_ids),
            numbers=self.number_rules(),
            value=self.value,
            min_value=self.min_value,
            max_value=self.max_value,
            weights=self.weights,
            default_weight=self.default_weight,
            timestamp_format=self.timestamp_format,
            since=moment_of(self.since),
            until=moment_of(self.until),
            reject=tuple((rule.pattern, rule.reason) for rule in self.reject),
        )

    def wanted(self) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        return columns | {f"_rule_{i}": rule.column for i, rule in enumerate(self.reject)}


def _raw(config: "Config") -> Names:
    return (config.ratings.path,) if config.ratings else ()


STAGE = Stage(
    "prepare-ratings",
    "ratings",
    "flow",
    "emberline.interactions.stage:run",
    reads=lambda config: artifacts_of(_raw(config)),
    writes=lambda config: ("interactions", "users", "items", "rejected_ratings"),
    raw=_raw,
    memory=lambda config, sizes, cores: (350 << 20) + 15 * sizes.raw_bytes,
    private=("pseudonyms", "raw"),
)
