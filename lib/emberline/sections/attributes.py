"""The section [attributes]: what is known of items and of users besides ratings."""

from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.attributes import AttributeRules
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.patterns import IdPatterns, id_rules
from emberline.sections.raw import RowsConfig
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


class AttributeColumnsConfig(Section):
    """Which input column is which; `genres` and `tags` hold several words, cut at the section's
    `list_separator`.
    """

    id: str | Positive
    title: str | Positive | None = None
    text: str | Positive | None = None
    label: str | Positive | None = None
    genres: str | Positive | None = None
    tags: str | Positive | None = None


class AttributeSourceConfig(RowsConfig):
    """One source of attributes; an id may have several rows, whose lists are joined. `clean_ids`
    replaces what it finds in ids.

    `numbers` are names of columns, or names of your own with the columns' names or positions: `{
    price = 5 }`. A number that cannot be used is missing, and the rest of its row is not.
    """

    columns: AttributeColumnsConfig
    ids: Literal["text", "integer"] = "text"
    clean_ids: IdPatterns = ()
    numbers: Annotated[tuple[str, ...], Field(strict=False)] | dict[str, str | Positive] = ()
    list_separator: Annotated[str, Field(min_length=1)] = "|"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        mapped = [*self.columns.what().values(), *self._number_columns().values()]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def rules(self, numbers: tuple[str, ...]) -> AttributeRules:
        """What is clean, as Spark's workers take it. numbers: the names of those of all sources."""
        columns = frozenset(self.wanted(numbers))
        ids = id_rules(self.ids, self.clean_ids)
        return AttributeRules(
            columns, numbers, self.text_rules(), ids, self.number_rules(), self.list_separator
        )

    def wanted(self, numbers: tuple[str, ...]) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        return columns | {
            f"_number_{numbers.index(name)}": column
            for name, column in self._number_columns().items()
        }

    def _number_columns(self) -> dict[str, str | int]:
        return (
            dict(self.numbers)
            if isinstance(self.numbers, dict)
            else {name: name for name in self.numbers}
        )


Sources = Annotated[tuple[AttributeSourceConfig, ...], Field(strict=False)]


class AttributesConfig(Section):
    """What is known of items and of users besides ratings: one source or several of each."""

    items: Sources = ()
    users: Sources = ()

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
    "spark",
    "emberline.spark.attributes:run",
    reads=lambda config: (
        *artifacts_of(_raw(config)),
        *(("users", "items") if config.ratings else ()),
    ),
    writes=lambda config: (*attribute_tables(config), "rejected_attributes"),
    raw=_raw,
)
