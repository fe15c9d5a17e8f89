"""JSON that strangers may have written, read into dataclasses: typed, of bounded size and
depth, every refusal with its field.
"""

import functools
import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from emberline.datasets.storage import Location

LARGEST = 256 << 20  # bytes of one file: the manifest of a million parts
DEEPEST = 32
_BELOW = 2**63
_SHOWN = 60
_NAMES = {
    int: "a whole number from 0",
    float: "a number",
    str: "a text",
    bool: "true or false",
    dict: "an object",
    list: "a list",
}
T = TypeVar("T")


def read(path: Location) -> Any:
    """What a JSON file holds. Raises ValueError where that is not JSON, OSError where it cannot
    be read.
    """
    return parse(content_of(path))


def content_of(path: Location) -> bytes:
    """A JSON file as it is. Raises ValueError where it is too large, OSError where it cannot be
    read.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise ValueError(f"expected at most {LARGEST:,} bytes, found {size:,}")
    return path.read_bytes()


def parse(content: bytes) -> Any:
    """What a JSON text holds. Raises ValueError for what is not JSON, or is nested too deeply
    for whoever writes it again.
    """
    try:
        value = json.loads(content)
        _check_depth(value, DEEPEST)
    except RecursionError:
        raise ValueError(f"expected at most {DEEPEST} levels, found more") from None
    return value


def _check_depth(value: Any, left: int) -> None:
    if left < 0:
        raise RecursionError
    for element in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        if isinstance(element, dict | list):
            _check_depth(element, left - 1)


def build(kind: type[T], value: Any, name: str = "") -> T:
    """A value of JSON as a dataclass, or as another type. Raises ValueError that names the
    field and what was found there.
    """
    built: T = _build(kind, value, name)
    return built


def _build(kind: Any, value: Any, name: str) -> Any:
    """As `build`; `kind` may be a plain type, Any, a Literal, one or None, a list or a dict of
    such, a dataclass.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _build_one_of(arguments, value, name)
    if origin is Literal:
        return (
            value
            if value in arguments and isinstance(value, str)
            else _refuse(" or ".join(arguments), value, name)
        )
    if origin is list:
        items = enumerate(_checked(list, value, name))
        return [_build(arguments[0], item, f"{name}[{place}]") for place, item in items]
    if origin is dict:
        return {
            key: _build(arguments[1], item, _below(name, key))
            for key, item in _checked(dict, value, name).items()
        }
    if is_dataclass(kind):
        return _build_record(kind, _checked(dict, value, name), name)
    return value if kind is Any else _checked(kind, value, name)


def _build_one_of(kinds: tuple[Any, ...], value: Any, name: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    some = [kind for kind in kinds if kind is not types.NoneType]
    fitting = [kind for kind in some if type(value) is (get_origin(kind) or kind)]
    if len(some) > 1 and not fitting:
        _refuse(" or ".join(_NAMES[get_origin(kind) or kind] for kind in some), value, name)
    return _build((fitting or some)[0], value, name)


def _build_record(kind: Any, values: dict[str, Any], name: str) -> Any:
    hints = _hints(kind)
    for key in values:
        if key not in hints:
            raise ValueError(f"{_below(name, key)} is not known")
    for key, (_, is_needed) in hints.items():
        if is_needed and key not in values:
            raise ValueError(f"{_below(name, key)} is missing")
    return kind(
        **{key: _build(hints[key][0], value, _below(name, key)) for key, value in values.items()}
    )


def check_known(kind: Any, values: Mapping[str, Any], name: str) -> None:
    """That those of the values that a dataclass has a field for are of its type. Raises as
    `build`.
    """
    for key, (hint, _) in _hints(kind).items():
        if key in values:
            _build(hint, values[key], _below(name, key))


def plain(value: Any) -> Any:
    """What `build` reads: dataclasses, also in lists, as objects."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return [plain(item) for item in value] if isinstance(value, list) else value


@functools.cache
def _hints(kind: Any) -> dict[str, tuple[Any, bool]]:
    """Of each field, its type and whether it has to be there."""
    found = get_type_hints(kind)
    return {
        f.name: (found[f.name], f.default is MISSING and f.default_factory is MISSING)
        for f in fields(kind)
    }


def _checked(kind: type, value: Any, name: str) -> Any:
    is_right = type(value) is kind or (kind is float and type(value) is int)
    if is_right and (kind is not int or 0 <= value < _BELOW):
        return value
    return _refuse(_NAMES[kind], value, name)


def _refuse(expected: str, value: Any, name: str) -> Any:
    found = _NAMES[type(value)] if isinstance(value, dict | list) else repr(value)
    found = found if len(found) <= _SHOWN else f"{found[:_SHOWN]}..."
    raise ValueError(f"{f'{name}: ' if name else ''}expected {expected}, found {found}")


def _below(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key
