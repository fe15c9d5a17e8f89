"""Every setting as a record: its name, type, default and sentence, from the fields themselves."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from annotated_types import BaseMetadata, Ge, Gt, Le, Len, Lt, MinLen
from pydantic.fields import FieldInfo

from emberline.sections.base import Section, section_of
from emberline.sections.config import Config

_NAMES: dict[Any, str] = {str: "text", int: "integer", float: "number", bool: "true or false"}
_BOUNDS = ((Gt, "gt", ">"), (Ge, "ge", ">="), (Lt, "lt", "<"), (Le, "le", "<="))


@dataclass(frozen=True)
class Setting:
    """One setting; the default is written as in a pipeline file, `required` or `none`."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True)
class Described:
    """A section by its name in a pipeline file, empty for what stands above all sections."""

    name: str
    about: str
    settings: tuple[Setting, ...]


def sections() -> Iterator[Described]:
    """All sections, each before those below it."""
    return _described("", "What stands above all sections.", Config)


def _described(name: str, about: str, section: type[Section]) -> Iterator[Described]:
    below = {key: section_of(field.annotation) for key, field in section.model_fields.items()}
    yield Described(
        name,
        about,
        tuple(
            _setting(key, field)
            for key, field in section.model_fields.items()
            if below[key] is None
        ),
    )
    for key, inner in below.items():
        if inner is not None:
            said = section.model_fields[key].description or ""
            yield from _described(f"{name}.{key}".lstrip("."), said, inner)


def _setting(name: str, field: FieldInfo) -> Setting:
    return Setting(
        name,
        _type(field.annotation) + _range(field.metadata),
        "required" if field.is_required() else _written(field.default),
        field.description or "",
    )


def _type(annotation: Any) -> str:
    """A type in words; of several types, each."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in _NAMES:
        return _NAMES[annotation]
    if origin is Literal:
        return " | ".join(_written(choice) for choice in inner)
    if origin is Annotated:
        return _type(inner[0]) + _range(_constraints(inner[1:]))
    if origin is tuple:
        return f"list of {_type(inner[0])}"
    if origin is dict:
        return f"table of {_type(inner[1])}"
    return " or ".join(_type(option) for option in inner if option is not type(None))


def _constraints(marks: tuple[Any, ...]) -> list[Any]:
    found = [one for mark in marks if isinstance(mark, FieldInfo) for one in mark.metadata]
    return found + [mark for mark in marks if isinstance(mark, BaseMetadata)]


def _range(constraints: list[Any]) -> str:
    said = [
        f"{sign} {getattr(mark, key)}"
        for kind, key, sign in _BOUNDS
        for mark in constraints
        if isinstance(mark, kind)
    ]
    is_filled = any(isinstance(mark, MinLen | Len) and mark.min_length for mark in constraints)
    return (" " + ", ".join(said) if said else "") + (", not empty" if is_filled else "")


def _written(value: Any) -> str:
    """A value as a pipeline file has it."""
    if value is None:
        return "none"
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=True)
