"""Sections of a pipeline file as TOML, for a file that `emberline run` takes."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def written(content: Mapping[str, Any]) -> str:
    """The text of a file that holds this; what is None is left out."""
    return "\n".join(_lines(content, ())).strip() + "\n"


def _lines(content: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[str]:
    """Plain values first, since what stands below a section's name belongs to it."""
    if above:
        yield f"\n[{'.'.join(map(_key, above))}]"
    for key, value in content.items():
        if not isinstance(value, Mapping) and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in content.items():
        if isinstance(value, Mapping):
            yield from _lines(value, (*above, key))


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value)  # days and times are as TOML has them


def _text(text: str) -> str:
    """As a basic string, whose escapes are those of JSON, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
