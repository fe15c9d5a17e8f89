"""The section [attributes]: what is known of items and of users besides ratings."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from emberline.cleaning.attributes import LISTS, SINGLE, AttributeRules, Named
from emberline.sections.artifacts import artifacts_of
from emberline.sections.base import Positive, Section
from emberline.sections.patterns import IdPatterns, id_rules, regular_expression
from emberline.sections.raw import RowsConfig
from emberline.sections.stage import Names, Stage

if TYPE_CHECKING:
    from emberline.sections.config import Config


_FIXED = (*SINGLE, *LISTS)
_BETWEEN = (" x ", " by idf", " near", "same ")  # what kernels are called by


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


_Names = Annotated[tuple[str, ...], Field(strict=False)]
NamedColumns = _Names | dict[str, str | Positive]


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
    numbers: _Names | dict[str, str | Positive | NumberConfig] = Field(
        default=(),
        description="Columns that are numbers: their names, or names of your own with the "
        "columns' names or positions, as in { price = 5 }, or with a column and a pattern that "
        "finds the number in it; a number that cannot be used is missing, the rest of its row is "
        "not.",
    )
    categories: NamedColumns = Field(
        default=(),
        description="Columns of one word or name each, such as a brand: their names, or names of "
        "your own with the columns' names or positions, as in { brand = 3 }; items of the same "
        "one are alike.",
    )
    lists: NamedColumns = Field(
        default=(),
        description="Columns of several words, cut at list_separator, as genres and tags are: "
        "their names, or names of your own with the columns' names or positions, as in "
        '{ actors = "cast" }.',
    )
    list_separator: Annotated[str, Field(min_length=1)] = Field(
        default="|", description="What stands between the words of genres, tags and lists."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        columns = [number.column for number in self._numbers().values()]
        columns += [*_columns(self.categories).values(), *_columns(self.lists).values()]
        mapped = [*self.columns.what().values(), *columns]
        if not self.header and any(isinstance(column, str) for column in mapped):
            raise ValueError("without a header, columns are positions counted from 1, not names")
        return self

    def rules(self, named: Named) -> AttributeRules:
        """What is clean, as Spark's workers take it. named: what all sources have."""
        return AttributeRules(
            frozenset(self.wanted(named)),
            *named,
            self.text_rules(),
            id_rules(self.ids, self.clean_ids),
            self.number_rules(),
            self.list_separator,
            {
                named.numbers.index(name): number.pattern
                for name, number in self._numbers().items()
                if number.pattern is not None
            },
        )

    def wanted(self, named: Named) -> dict[str, str | int]:
        """The input's columns by the names that the rules have for them."""
        columns = {name: column for name, column in self.columns if column is not None}
        numbers = {name: number.column for name, number in self._numbers().items()}
        every = (numbers, _columns(self.categories), _columns(self.lists))
        for kind, names, given in zip(("number", "category", "list"), named, every, strict=True):
            columns |= {f"_{kind}_{names.index(name)}": column for name, column in given.items()}
        return columns

    def list_columns(self, named: Named) -> tuple[str, ...]:
        """Which of the wanted columns are several words."""
        return tuple(
            name for name in self.wanted(named) if name in LISTS or name.startswith("_list_")
        )

    def _numbers(self) -> dict[str, NumberConfig]:
        return {
            name: number if isinstance(number, NumberConfig) else NumberConfig(column=number)
            for name, number in _columns(self.numbers).items()
        }


def _columns(given: tuple[str, ...] | Mapping[str, Any]) -> Mapping[str, Any]:
    """The columns by their names in tables."""
    return {name: name for name in given} if isinstance(given, tuple) else given


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

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for side in ("item", "user"):
            named = self.named(side)
            every = [name for names in named for name in names]
            for name in every:
                if every.count(name) > 1 or name in _FIXED:
                    raise ValueError(
                        f"attributes.{side}s has several columns called {name}: numbers, categories"
                        f" and lists need names of their own, other than {', '.join(_FIXED)}; give"
                        f' one another name, as in categories = {{ my_{name} = "{name}" }}'
                    )
                if not name.strip() or any(part in name for part in _BETWEEN):
                    raise ValueError(
                        f"attributes.{side}s has a column called {name!r}, by which reports would"
                        ' not be understood: give it another name, as in lists = { mine = "'
                        f'{name}" }}'
                    )
        return self

    def named(self, side: str) -> Named:
        """The names of the numbers, categories and lists of all sources of items or users, each
        once, in their order.
        """
        sources = self.items if side == "item" else self.users
        every = [(source.numbers, source.categories, source.lists) for source in sources]
        if not every:
            return Named((), (), ())
        return Named(
            *(
                tuple(dict.fromkeys(n for names in kind for n in names))
                for kind in zip(*every, strict=True)
            )
        )


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
