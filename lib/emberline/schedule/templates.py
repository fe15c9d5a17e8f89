"""The schedulers' files as templates. Their marks are << >> and <% %>: Airflow has a use for
braces itself.
"""

import importlib.resources
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined


def render(name: str, **values: Any) -> str:
    """The template `name` with its values; a value is pasted as it is, quoted by who gives it."""
    environment = Environment(
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        loader=FunctionLoader(_source),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(name).render(**values)


def _source(name: str) -> str:
    return (importlib.resources.files("emberline.schedule") / name).read_text(encoding="utf-8")
