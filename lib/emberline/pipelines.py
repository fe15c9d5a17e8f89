"""Pipeline files: TOML, with overrides and dates put in, read into a Config."""

import difflib
import functools
import re
import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from emberline import places, shipped
from emberline.errors import ConfigError
from emberline.logs import hide, is_secret, may_be_secret
from emberline.sections import moved
from emberline.sections.base import section_of
from emberline.sections.config import Config

_DATE = re.compile(r"\{date(?::([^{}]+))?\}")


def load(path: Path, overrides: Iterable[str] = (), day: date | None = None) -> Config:
    """Read a pipeline file, apply `section.key=value` overrides, and write the day where its texts
    say `{date}`.

    Raises ConfigError naming every wrong key.
    """
    return config_of(content_of(path, overrides, day), path.name)


def content_of(
    path: Path, overrides: Iterable[str] = (), day: date | None = None
) -> dict[str, Any]:
    """What `load` makes a config of: the file's sections, with absolute paths."""
    content: dict[str, Any] = _dated(_read(path, overrides), day, path.name)
    return content


def config_of(content: dict[str, Any], name: str) -> Config:
    """The config that sections of a file of this name make. Raises ConfigError naming every wrong
    key.
    """
    _hide_secrets(content.get("spark"))
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            "; ".join(f"{name}: {_explain(dict(item))}" for item in error.errors())
        ) from None


def with_setting(content: dict[str, Any], setting: tuple[str, Any]) -> dict[str, Any]:
    """The content of a pipeline file with one setting changed, by its whole name and value."""
    name, value = setting
    key, _, below = name.partition(".")
    if not below:
        return {**content, key: value}
    return {**content, key: with_setting(content.get(key) or {}, (below, value))}


def _hide_secrets(spark: Any) -> None:
    """What the section [spark] may have of them, before anything can go wrong and be told."""
    conf = spark.get("conf") if isinstance(spark, dict) else None
    for name, value in conf.items() if isinstance(conf, dict) else ():
        if not isinstance(value, str) or may_be_secret(name, value):
            hide(_texts([value]))


def is_dated(path: Path, overrides: Iterable[str] = ()) -> bool:
    """Whether the pipeline reads other data, or writes to another place, each day."""
    return any(_DATE.search(text) for text in _texts(_read(path, overrides)))


def _read(path: Path, overrides: Iterable[str]) -> dict[str, Any]:
    """The file's content, whose paths are those of its folder, and the overrides, whose are
    those of the working folder.
    """
    written = _read_toml(path)
    _refuse_moved(written, f"{path.name}: ")
    content: dict[str, Any] = places.resolved(
        Config, written, f"{path.name}: ", path.absolute().parent
    )
    for override in overrides:
        _apply(content, override)
    content.setdefault("root", f"runs/{path.stem}")
    return content


def _refuse_moved(content: dict[str, Any], above: str) -> None:
    if told := list(moved.refusals(content)):
        raise ConfigError("; ".join(f"{above}{line}" for line in told))


def _texts(content: Any) -> Iterator[str]:
    values = (
        content.values()
        if isinstance(content, dict)
        else content
        if isinstance(content, list)
        else ()
    )
    for value in values:
        yield from (value,) if isinstance(value, str) else _texts(value)


def _dated(content: Any, day: date | None, name: str) -> Any:
    """The same content, with `{date}` as 2025-11-22, and `{date:%Y/%m}` as strftime has it.
    Raises ConfigError without a day.
    """
    if isinstance(content, dict):
        return {key: _dated(value, day, f"{name}: {key}") for key, value in content.items()}
    if isinstance(content, list):
        return [_dated(value, day, name) for value in content]
    if not isinstance(content, str) or not _DATE.search(content):
        return content
    if day is None:
        raise ConfigError(f"{name} holds {{date}}; say which with --date YYYY-MM-DD")
    return _DATE.sub(lambda found: day.strftime(found[1] or "%Y-%m-%d"), content)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((shipped.pipeline(path) or path).read_text(encoding="utf-8-sig"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        known = ", ".join(shipped.pipeline_names())
        raise ConfigError(
            f"{path} is not a file; give a pipeline's path, or the name of one that is here:"
            f" {known}"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path.name} is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from None


def _apply(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {key}: expected section.key=value")
    *sections, last = key.strip().split(".")
    if sections[:2] == ["spark", "conf"]:
        sections, last = ["spark", "conf"], ".".join([*sections[2:], last])
    value = _value(text.strip())
    _refuse_moved(_nested([*sections, last], value), "--set ")
    place = content
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise ConfigError(f"--set {key}: {section} is a value, not a section")
    # Spark's settings are all texts: 8, true
    is_spark_text = sections == ["spark", "conf"] and not isinstance(value, str)
    place[last] = text.strip() if is_spark_text else _placed([*sections, last], value)


def _placed(names: list[str], value: Any) -> Any:
    """The value of a setting given on the command line; its paths are those of the working
    folder.
    """
    found = places.resolved(Config, _nested(names, value), "--set ")
    return functools.reduce(lambda outer, name: outer[name], names, found)


def _nested(names: list[str], value: Any) -> Any:
    return functools.reduce(lambda inner, name: {name: inner}, reversed(names), value)


def _value(text: str) -> Any:
    """A TOML value where the text is one, the text itself otherwise, so that paths need no
    quotes.
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _explain(error: dict[str, Any]) -> str:
    names = [
        str(part)
        for part in error["loc"]
        if not (isinstance(part, str) and part in ("str", "constrained-int"))
    ]
    key = ".".join(names)
    if error["type"] == "extra_forbidden":
        return f"unknown key {key}{_suggestion(names)}"
    if error["type"] == "missing":
        return f"{key} is missing"
    message = str(error["msg"]).removeprefix("Value error, ")
    is_told = error["type"] == "value_error"
    found = (
        ""
        if is_told or is_secret(key) or key.startswith("spark.conf")
        else f", found {_found(error['input'])}"
    )
    return f"{key}: {message}{found}" if key else message


def _found(value: Any) -> str:
    """What to show of a wrong value: nothing of what a table or a list holds, which may be a
    secret.
    """
    return (
        "a table"
        if isinstance(value, dict)
        else "a list"
        if isinstance(value, list)
        else repr(value)
    )


def _suggestion(names: list[str]) -> str:
    model: Any = Config
    for name in names[:-1]:
        if name.isdecimal():  # the place in a list
            continue
        field = model.model_fields.get(name)
        model = field and section_of(field.annotation)
        if model is None:
            return ""
    close = difflib.get_close_matches(names[-1], list(model.model_fields), n=1)
    return f" (did you mean {close[0]}?)" if close else f" (known: {', '.join(model.model_fields)})"
