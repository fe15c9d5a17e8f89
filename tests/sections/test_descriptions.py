"""What settings say of themselves."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import emberline
from emberline.sections.base import Section, section_of
from emberline.sections.config import Config

PACKAGE = Path(emberline.__file__).parent
_NAMED = re.compile(r"(?<![\w.])cnn(?:\.[a-z_]+)+")


def _settings(section: type[Section], above: str = "") -> Iterator[tuple[str, str | None]]:
    for name, field in section.model_fields.items():
        yield f"{above}{name}", field.description
        if below := section_of(field.annotation):
            yield from _settings(below, f"{above}{name}.")


def test_every_setting_has_a_sentence() -> None:
    lacking = [name for name, said in _settings(Config) if not said or not said.endswith(".")]
    assert lacking == []


def test_sections_below_sections_are_looked_at() -> None:
    names = [name for name, _ in _settings(Config)]
    assert {"cnn.team.workers", "attributes.items.columns.id", "recommend.exclude.ids"} <= {*names}


def _texts(path: Path) -> Iterator[str]:
    """The texts of a module, but docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_rooms_below_the_trainer_name_no_setting_of_it() -> None:
    rooms = ["cnn/*.py", "launch/*.py", "datasets/*.py", "trainers.py"]
    found = {
        (path.name, text)
        for room in rooms
        for path in PACKAGE.glob(room)
        for text in _texts(path)
        if _NAMED.search(text)
    }
    assert found == set()


def test_settings_of_the_network_that_messages_name_are_there() -> None:
    known = {name for name, _ in _settings(Config)}
    named = {
        name
        for path in PACKAGE.rglob("*.py")
        if path.name != "moved.py"
        for text in _texts(path)
        for name in re.findall(r"\bcnn\.(?:optimizer|input|team)\.[a-z_]+", text)
    }
    assert named and named <= known
