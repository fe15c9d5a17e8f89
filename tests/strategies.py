"""Values of dataclasses that cross a border as JSON, drawn for tests by the types of their
fields.
"""

import types
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from emberline.datasets.sketch import Sketch

_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**63 - 1),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(st.characters(codec="utf-8"), max_size=8),
    bool: st.booleans(),
    types.NoneType: st.none(),
    Sketch: st.builds(
        Sketch.of,
        st.integers(0, 99),
        st.integers(0, 2**64 - 1),
        st.dictionaries(st.integers(0, 127), st.integers(0, 2**16 - 1), max_size=3),
    ),
}
_SCALARS[Any] = st.one_of(_SCALARS[int], _SCALARS[float], _SCALARS[str], st.none())


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of a type that `typed_json.build` knows."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SCALARS:
        return _SCALARS[kind]
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(_SCALARS[str], values(arguments[1]), max_size=3)
    assert is_dataclass(kind), f"no values of {kind} are known"
    hints = get_type_hints(kind)
    return st.builds(kind, **{each.name: values(hints[each.name]) for each in fields(kind)})
