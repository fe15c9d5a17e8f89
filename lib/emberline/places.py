"""Paths in a pipeline file: they belong to the file's folder, whatever the working folder, and name
variables and homes.

| in the file | is |
|---|---|
| `data/log.csv` | in the folder of the file |
| `/data/log.csv`, `s3://shop/log.csv`, `dataset:shop/events.csv` | what it says |
| `~/log.csv` | in the home folder |
| `$DATA/log.csv`, `${DATA}/log.csv` | as the environment has it; `$PWD` is the working folder, `$$`
a dollar |
"""

import glob
import os
import re
from pathlib import Path
from typing import Any

from emberline.errors import ConfigError
from emberline.sections.artifacts import DATASET_PREFIX
from emberline.sections.base import Section, marks_of, section_of
from emberline.sections.recommend import ItemListConfig, UserListConfig
from emberline.sections.split import PairsConfig
from emberline.sections.teacher import TeacherConfig

# sections for which a path alone may stand
_ALONE = (ItemListConfig, UserListConfig, PairsConfig, TeacherConfig)
_VARIABLE = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def resolved(model: type[Section], content: Any, above: str, folder: Path | None = None) -> Any:
    """What a file says of a section, with its paths resolved; without a folder, they stay relative
    to the working folder.

    Raises ConfigError for a variable that is not set; `above` comes before the name of the setting
    there.
    """
    if isinstance(content, list):
        return [resolved(model, item, above, folder) for item in content]
    if not isinstance(content, dict):
        return content
    return {
        key: _setting(model, key, value, f"{above}{key}", folder) for key, value in content.items()
    }


def _setting(model: type[Section], key: str, value: Any, name: str, folder: Path | None) -> Any:
    field = model.model_fields.get(key)
    if field is None:
        return value
    marks = marks_of(field)
    below = section_of(field.annotation)
    if isinstance(value, str) and (marks.get("place") or below in _ALONE):
        return value if value in marks.get("words", ()) else _resolved(value, name, folder)
    return value if below is None else resolved(below, value, f"{name}.", folder)


def _resolved(text: str, name: str, folder: Path | None) -> str:
    if text.startswith(DATASET_PREFIX):
        return text
    path = _VARIABLE.sub(lambda found: found[1] or _variable(found[2] or found[3], name), text)
    if folder is None or _SCHEME.match(path) or path.startswith(("/", "~")):
        return path
    base = str(folder)
    return os.path.join(glob.escape(base) if glob.has_magic(path) else base, path)  # noqa: PTH118


def _variable(variable: str, name: str) -> str:
    if variable == "PWD":
        return str(Path.cwd())
    value = os.environ.get(variable)
    if value is None:
        raise ConfigError(
            f"{name} names the environment variable {variable}, which is not set; set it, or write"
            " $$ for a dollar"
        )
    return value
