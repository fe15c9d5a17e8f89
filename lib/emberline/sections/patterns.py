"""Regular expressions in a pipeline file, and the ids that they clean."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from emberline.cleaning.ids import IdRules
from emberline.sections.base import Section


class IdPattern(Section):
    """What the regular expression `pattern` finds in an id is replaced."""

    pattern: str = Field(description="The regular expression that is looked for in ids.")
    replace: str = Field(
        default="", description="What stands in its place; \\1 is the pattern's first group."
    )

    @field_validator("pattern")
    @classmethod
    def _is_regular_expression(cls, pattern: str) -> str:
        return regular_expression(pattern)


def regular_expression(pattern: str) -> str:
    """The same pattern. Raises ValueError where it is none."""
    try:
        return re.compile(pattern).pattern
    except re.error as error:
        raise ValueError(f"not a regular expression ({error})") from None


IdPatterns = Annotated[tuple[IdPattern, ...], Field(strict=False)]


def id_rules(kind: Literal["text", "integer"], patterns: tuple[IdPattern, ...]) -> IdRules:
    """How ids are cleaned, as Spark's workers take it."""
    return IdRules(kind, tuple((one.pattern, one.replace) for one in patterns))
