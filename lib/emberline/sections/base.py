"""What every section is made of: frozen settings that are checked, and which of them say what and
which say where.

Fields marked `where()` say where and how fast something is computed; all others say what, and enter
the stage's fingerprint.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def where(default: Any = ..., **constraints: Any) -> Any:
    """A field that changes where or how fast a stage computes, but not what: it is logged, not
    fingerprinted.
    """
    return Field(default, json_schema_extra={"where": True}, **constraints)


def place(default: Any = ..., words: tuple[str, ...] = (), **constraints: Any) -> Any:
    """A `where()` that is a path or a URI, which belongs to the pipeline file: relative to its
    folder; `words` are none.
    """
    marks: dict[str, Any] = {"where": True, "place": True, "words": list(words)}
    return Field(default, json_schema_extra=marks, **constraints)


def tuned(
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    choices: tuple[Any, ...] = (),
) -> dict[str, Any]:
    """What a field is worth trying at: the mark `json_schema_extra` of a setting that
    `emberline tune` varies where no space is given.
    """
    if choices:
        return {"space": {"choices": list(choices)}}
    return {"space": {"low": low, "high": high, "log": log}}


def is_where(field: FieldInfo) -> bool:
    """Whether a field is a `where()` or a `place()`."""
    return bool(marks_of(field).get("where"))


def marks_of(field: FieldInfo) -> dict[str, Any]:
    """What `where()`, `place()` and `tuned()` have noted at a field."""
    extra = field.json_schema_extra
    return extra if isinstance(extra, dict) else {}


class Section(BaseModel):
    """A section: what it does not know, and what is of another type, is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def what(self) -> dict[str, Any]:
        """The settings that decide the result, as JSON-ready values."""
        return {
            name: _plain(value)
            for name, value in self
            if not is_where(type(self).model_fields[name])
        }

    def idle(self) -> dict[str, str]:
        """The settings that change nothing as the others are, each with what fixes it."""
        return {}

    def meant(self, has_ratings: bool) -> dict[str, Any]:
        """What those settings come to that say "auto", where values are ratings or counts."""
        return {}


def _plain(value: Any) -> Any:
    if isinstance(value, Section):
        return value.what()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def section_of(annotation: Any) -> type[Section] | None:
    """The section that a field holds, alone, in a list or perhaps not at all."""
    options = [annotation, *getattr(annotation, "__args__", ())]
    return next(
        (option for option in options if isinstance(option, type) and issubclass(option, Section)),
        None,
    )
