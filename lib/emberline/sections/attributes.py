"""The section [attributes]: what is known of items and of users besides ratings."""

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.attributes import AttributeRules
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.patterns import IdPatterns, id_rules, regular_expression
from emberline.sections.raw import RowsConfig
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class AttributeColumnsConfig(Section):
    """Which input column of attributes is which."""

    id: str | Positive = Field(description="The column of the item's or the user's id.")
    title: str | Positive | None = Field(
        default=None, description="The column of the title, to be shown in lists."
    )
    text: str | Positive | None = Field(
        default=None, description="The column of a longer text, such as a description."
    )
    label: str | Positive | None = Field(
        default=None, description="The column of the class, which networks and forests learn."
    )
    genres: str | Positive | None = Field(
        default=None, description="The column of genres: several words, cut at list_separator."
    )
    tags: str | Positive | None = Field(
        default=None, description="The column of tags: several words, cut at list_separator."
    )


class NumberConfig(Section):
    """A number of its own column, or what a pattern finds in a text."""

    column: str | Positive = Field(description="The column that the number is in.")
    pattern: str | None = Field(
        default=None,
        description="The regular expression whose only group is the number, such as "
        "'\\((\\d{4})\\)' for the year in a title; without it, the column is the number.",
    )

    @field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str | None) -> str | None:
        if pattern is not None and re.compile(regular_expression(pattern)).groups != 1:
            raise ValueError("a pattern of a number needs one group, as in '\\((\\d{4})\\)'")
        return pattern


class AttributeSourceConfig(RowsConfig):
    """One source of attributes; an id may have several rows, whose lists are joined."""

    columns: AttributeColumnsConfig = Field(
        description="Which input column is which: a name or, for CSV without a header, a "
        "position counted from 1."
    )
    ids: Literal["text", "integer"] = Field(
        default="text",
        description="What an id is: any text, or an integer, of which 17850.0 and 017850 are one.",
    )
    clean_ids: IdPatterns = Field(
        default=(), description="Patterns that are replaced in ids, in their order."
    )
    numbers: (
        Annotated[tuple[str, ...], Field(strict=False)] | dict[str, str | Positive | NumberConfig]
    ) = Field(
        default=(),
        description="Columns that are numbers: their names, or names of your own with the "
        "columns' names or positions, as in { price = 5 }, or with a column and a pattern that "
        "finds the number in it; a number that cannot be used is missing, the rest of its row is "
        "not.",
    )
    list_separator: Annotated[str, Field(min_length=1)] = Field(
        default="|", description="What stands between the words of genres and tags."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        numbers = [number.column for number in self._numbers().values()]
        mapped = [*self.columns.what().values(), *numbers]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def rules(self, numbers: tuple[str, ...]) -> AttributeRules:
        """What is clean, as Spark's workers take it. numbers: the names of those of all sources."""
        return AttributeRules(
            frozenset(self.wanted(numbers)),
            numbers,
            self.text_rules(),
            id_rules(self.ids, self.clean_ids),
            self.number_rules(),
            self.list_separator,
            {
                numbers.index(name): number.pattern
                for name, number in self._numbers().items()
                if number.pattern is not None
            },
        )

    def wanted(self, numbers: tuple[str, ...]) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        return columns | {
            f"_number_{numbers.index(name)}": number.column
            for name, number in self._numbers().items()
        }

    def _numbers(self) -> dict[str, NumberConfig]:
        given = self.numbers if isinstance(self.numbers, dict) else {n: n for n in self.numbers}
        return {
            name: number if isinstance(number, NumberConfig) else NumberConfig(column=number)
            for name, number in given.items()
        }


Sources = Annotated[tuple[AttributeSourceConfig, ...], Field(strict=False)]


class AttributesConfig(Section):
    """What is known of items and of users besides ratings: one source or several of each."""

    items: Sources = Field(
        default=(),
        description="One source of items' attributes, or a list of several; lists of an id that "
        "has several rows are joined.",
    )
    users: Sources = Field(
        default=(),
        description="One source of users' attributes, or a list of several; lists of an id that "
        "has several rows are joined.",
    )

    @field_validator("items", "users", mode="before")
    @classmethod
    def _one_or_several(cls, sources: Any) -> Any:
        return [sources] if isinstance(sources, dict) else sources

    @model_validator(mode="after")
    def _has_a_source(self) -> Self:
        if not self.items and not self.users:
            raise ValueError("needs a section [attributes.items] or [attributes.users]")
        return self

    def numbers(self, side: str) -> tuple[str, ...]:
        """The names of the numbers of all sources of items or users, each once, in their order."""
        sources = self.items if side == "item" else self.users
        return tuple(dict.fromkeys(name for source in sources for name in source.numbers))


def _raw(config: "Config") -> Names:
    attributes = config.attributes
    return (
        tuple(source.path for source in (*attributes.items, *attributes.users))
        if attributes
        else ()
    )


def attribute_tables(config: "Config") -> Names:
    """The tables that prepare-items writes: of the sides that have a source."""
    sides = config.attributes and {
        "item_attributes": config.attributes.items,
        "user_attributes": config.attributes.users,
    }
    return tuple(name for name, sources in (sides or {}).items() if sources)


STAGE = Stage(
    "prepare-items",
    "attributes",
    "flow",
    "emberline.attributes.stage:run",
    reads=lambda config: (
        *artifacts_of(_raw(config)),
        *(("users", "items") if config.ratings else ()),
    ),
    writes=lambda config: (*attribute_tables(config), "rejected_attributes"),
    raw=_raw,
    memory=lambda config, sizes, cores: (350 << 20) + 15 * sizes.raw_bytes,
    private=("pseudonyms", "raw"),
)
