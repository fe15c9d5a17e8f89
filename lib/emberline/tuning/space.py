"""What a study varies: settings, and of each the values that may be tried.

A file has a table for each section, and for each setting in it a list of choices, or
`{ low = 0.02, high = 2.0, log = true }`. Without a file, the settings say themselves what they are
worth trying at (`tuned` in sections/base.py).
"""

import difflib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from emberline.errors import ConfigError
from emberline.sections.base import Section, is_where, marks_of, section_of
from emberline.sections.config import Config

Value = bool | int | float | str
_KEYS = {"low", "high", "log"}
_EDGE = 0.05  # of a range, at either end


@dataclass(frozen=True)
class Parameter:
    """One setting that a study varies, by its whole name such as `als.rank`: one of `choices`, or
    from `low` to `high`, whole numbers where the setting is one, in equal ratios with `log`.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    is_integer: bool = False
    choices: list[Any] | None = None

    def has(self, value: Any) -> bool:
        """Whether a value is one that may be tried."""
        if self.choices is not None:
            return value in self.choices
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and self.low <= value <= self.high

    def edge(self, value: Any) -> float | None:
        """The end of the range that a value lies at, where it does and the setting could have
        values beyond.
        """
        if self.choices is not None:
            return None
        low, high, at = (math.log(each) if self.log else each for each in (*self.ends, value))
        share = (at - low) / (high - low)
        if _EDGE < share < 1 - _EDGE:
            return None
        end, beyond = (self.low, self._below()) if share < 0.5 else (self.high, self.high * 2)
        return end if self._may_be(beyond) else None

    @property
    def ends(self) -> tuple[float, float]:
        return self.low, self.high

    def _below(self) -> float:
        return self.low / 2 if self.log else 2 * self.low - self.high

    def _may_be(self, value: float) -> bool:
        """Whether the setting could have a value."""
        try:
            _check(field_of(self.name), int(value) if self.is_integer else value, self.name)
        except ConfigError:
            return False
        return True

    def written(self) -> str:
        """As a file of a space has it."""
        if self.choices is not None:
            return _written(self.choices)
        ends = (_written(int(end) if self.is_integer else end) for end in (self.low, self.high))
        bounds = "low = {}, high = {}".format(*ends)
        return f"{{ {bounds}{', log = true' if self.log else ''} }}"


Space = Sequence[Parameter]


def read(path: Path) -> list[Parameter]:
    """The space that a file says. Raises ConfigError, which names the setting, for what is none."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give a file of a space") from None
    except ValueError as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}") from None
    found = list(_read(content, Config, "", path.name))
    if not found:
        raise ConfigError(
            f"{path.name} has no setting to vary; --show-space shows what it may have"
        )
    return found


def _read(
    content: Mapping[str, Any], section: type[Section], above: str, file: str
) -> Iterator[Parameter]:
    for key, value in content.items():
        name, field = f"{above}{key}", section.model_fields.get(key)
        if field is None:
            raise ConfigError(f"{file}: unknown setting {name}{_close(key, section)}")
        below = section_of(field.annotation)
        if below is not None and isinstance(value, dict):
            yield from _read(value, below, f"{name}.", file)
        else:
            yield _parameter(name, field, value, file)


def field_of(name: str) -> FieldInfo:
    """The setting of a whole name such as `als.rank`."""
    *above, key = name.split(".")
    section: type[Section] = Config
    for each in above:
        below = section_of(section.model_fields[each].annotation)
        assert below is not None, name
        section = below
    return section.model_fields[key]


def edges(space: Space, parameters: Mapping[str, Any]) -> list[str]:
    """Which parameters lie at the edge of their range, beyond which better ones may be."""
    found = []
    for one in space:
        if one.edge(parameters[one.name]) is not None:
            low, high = (int(end) if one.is_integer else end for end in one.ends)
            found.append(f"{one.name} = {parameters[one.name]:.4g} ({low:g} to {high:g})")
    return found


def _close(key: str, section: type[Section]) -> str:
    close = difflib.get_close_matches(key, list(section.model_fields), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _parameter(name: str, field: FieldInfo, value: Any, file: str) -> Parameter:
    """Raises ConfigError where the values are none that the setting can have."""
    where = f"{file}: {name}"
    if is_where(field):
        raise ConfigError(f"{where} says where something is computed, and not what: remove it")
    if isinstance(value, list):
        return _of_choices(name, field, value, where)
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys() <= _KEYS:
        raise ConfigError(
            f"{where}: expected a list of choices, or {{ low = ..., high = ... }}, perhaps with"
            f" log = true; found {_found(value)}"
        )
    low, high, log = value["low"], value["high"], value.get("log", False)
    for key, end in (("low", low), ("high", high)):
        if isinstance(end, bool) or not isinstance(end, int | float):
            raise ConfigError(f"{where}: {key} is a number, found {end!r}")
        _check(field, end, f"{where}: {key}")
    if not isinstance(log, bool):
        raise ConfigError(f"{where}: log is true or false, found {log!r}")
    if low >= high:
        raise ConfigError(f"{where}: low = {low} is not below high = {high}")
    if log and low <= 0:
        raise ConfigError(f"{where}: with log = true, low is above 0, found {low}")
    return Parameter(name, float(low), float(high), log, _is_integer(field))


def _of_choices(name: str, field: FieldInfo, values: list[Any], where: str) -> Parameter:
    if len(values) < 2 or len({repr(value) for value in values}) < len(values):
        raise ConfigError(f"{where}: expected two or more different choices, found {values}")
    for value in values:
        if not isinstance(value, bool | int | float | str):
            raise ConfigError(
                f"{where}: a choice is a number, a text, true or false; found {value}"
            )
        _check(field, value, where)
    return Parameter(name, choices=values)


def _check(field: FieldInfo, value: Any, where: str) -> None:
    """Raises ConfigError where a setting cannot have the value."""
    kind: Any = Annotated[field.annotation, *field.metadata, None]
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        told = error.errors()[0]["msg"]
        raise ConfigError(f"{where}: {told}, found {value!r}") from None


def _is_integer(field: FieldInfo) -> bool:
    try:
        kind: Any = field.annotation
        TypeAdapter(kind).validate_python(1.5, strict=True)
    except ValidationError:
        return True
    return False


def _found(value: Any) -> str:
    return f"a table of {', '.join(value) or 'nothing'}" if isinstance(value, dict) else repr(value)


def default(config: Config, prefixes: Sequence[str]) -> list[Parameter]:
    """What the settings of some sections, or some settings, are worth trying at, without those
    that the others fix.
    """
    found: list[Parameter] = []
    for prefix in prefixes:
        section = prefix.partition(".")[0]
        if (settings := getattr(config, section)) is not None:
            every = _marked(settings, f"{section}.")
            found += [one for one in every if f"{one.name}.".startswith(f"{prefix}.")]
    return found


def _marked(settings: Section, above: str) -> Iterator[Parameter]:
    idle = settings.idle()
    for key, field in type(settings).model_fields.items():
        value = getattr(settings, key)
        if isinstance(value, Section):
            yield from _marked(value, f"{above}{key}.")
        elif (mark := marks_of(field).get("space")) and key not in idle:
            yield _of_mark(f"{above}{key}", field, mark)


def _of_mark(name: str, field: FieldInfo, mark: Mapping[str, Any]) -> Parameter:
    if "choices" in mark:
        return Parameter(name, choices=list(mark["choices"]))
    low, high = float(mark["low"]), float(mark["high"])
    return Parameter(name, low, high, mark["log"], _is_integer(field))


def check(space: Space, config: Config) -> None:
    """Raises ConfigError for a setting of a section that the pipeline lacks, and for one that
    another fixes which the space does not vary.
    """
    varied = {one.name for one in space}
    for one in space:
        section, *names = one.name.split(".")
        settings: Any = getattr(config, section)
        for above, key in enumerate(names):
            if settings is None:
                raise ConfigError(f"{one.name}: the pipeline has no section [{section}]")
            fixed_by = settings.idle().get(key)
            fixer = ".".join([section, *names[:above], fixed_by or ""])
            if fixed_by and fixer not in varied:
                raise ConfigError(
                    f"{one.name} changes nothing: {fixer} = {getattr(settings, fixed_by)!r} fixes"
                    f" it; remove it from the space, or vary {fixer}, too"
                )
            settings = getattr(settings, key)


def value_of(config: Config, name: str) -> Any:
    """What a config has for a setting, by its whole name, or what "auto" means there."""
    *above, key = name.split(".")
    section: Any = config
    for each in above:
        section = getattr(section, each)
    return section.meant(config.has_ratings).get(key, getattr(section, key))


def shown(space: Space) -> Iterator[str]:
    """The lines of a file that says this space."""
    above = None
    for one in space:
        section, _, key = one.name.rpartition(".")
        if section != above:
            yield from [""] * (above is not None)
            yield f"[{section}]"
        above = section
        yield f"{key} = {one.written()}"


def _written(value: Any) -> str:
    """As TOML has it: of numbers, texts, booleans and lists of them, as JSON does."""
    return json.dumps(value)
