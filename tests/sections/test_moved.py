"""Pipelines of the old file format, refused with what to write instead."""

from pathlib import Path
from typing import Any

import pytest

from emberline import pipelines
from emberline.errors import ConfigError
from emberline.sections.base import section_of
from emberline.sections.config import Config
from emberline.sections.moved import MOVED

VALUES: dict[str, Any] = {"cnn.optimizer": '"sgd"', "cnn.schedule": '"cosine"'}


def _field(path: str) -> Any:
    section: Any = Config
    *above, last = path.split(".")
    for name in above:
        if name not in section.model_fields:
            return None
        section = section_of(section.model_fields[name].annotation)
    return section.model_fields.get(last)


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_setting_of_before_is_refused_with_where_it_is_now(
    old: str, new: str, tmp_path: Path
) -> None:
    path = tmp_path / "old.toml"
    section, _, key = old.rpartition(".")
    path.write_text(f"[{section}]\n{key} = {VALUES.get(old, 1)}\n")
    home, _, name = new.rpartition(".")
    expected = f"{old} is now {new}: write {name} in a section [{home}]"
    with pytest.raises(ConfigError) as refused:
        pipelines.load(path)
    assert str(refused.value) == f"old.toml: {expected}"
    path.write_text("")
    with pytest.raises(ConfigError) as refused:
        pipelines.load(path, [f"{old}={VALUES.get(old, 1)}"])
    assert str(refused.value) == f"--set {expected}"


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_what_is_to_be_written_instead_is_a_setting(old: str, new: str) -> None:
    assert _field(new) is not None
    assert _field(old) is None or new.startswith(f"{old}.")


def test_all_settings_of_before_are_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text("[cnn]\nepochs = 2\nworkers = 2\npool = 3\n")
    with pytest.raises(ConfigError) as refused:
        pipelines.load(path)
    assert str(refused.value).count("old.toml: cnn.") == 2 and "\n" not in str(refused.value)


def test_the_section_that_has_an_old_name_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text('[cnn.optimizer]\nname = "sgd"\n[cnn]\n[shards]\ntask = "class"\n')
    with pytest.raises(ConfigError, match=r"\[shards\] needs a section \[images\]"):
        pipelines.load(path, ["cnn.optimizer.momentum=0.5"])
